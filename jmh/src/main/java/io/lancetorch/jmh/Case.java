package io.lancetorch.jmh;

import java.util.List;

/** What {@code bench} can run: a benchmark class, its implementations, and the part that each plays. */
enum Case {
    OP(
            "op",
            "one operator call, at::add of 1 element",
            "ns/op",
            false,
            OpBenchmark.class,
            new Implementation("lancetorch", "lancetorch", Role.OURS),
            new Implementation("lancetorch-scope", "lancetorchScope", Role.OURS),
            new Implementation("javacpp-presets", "presets", Role.PEER),
            new Implementation("javacpp-presets-scope", "presetsScope", Role.PEER),
            new Implementation(
                    "javacpp-presets-nogc",
                    "presets",
                    Role.TO_COMPARE,
                    "-Dorg.bytedeco.javacpp.nopointergc=true",
                    "-Dorg.bytedeco.javacpp.maxBytes=0",
                    "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0"),
            new Implementation("bare-downcall", "bareDowncall", Role.LIMIT)),
    SCAN(
            "scan",
            "a scan of float32[" + Inputs.WIDTH + "] to tensors of " + ScanBenchmark.BATCH + " rows",
            "GB/s",
            true,
            ScanBenchmark.class,
            new Implementation("lancetorch", "lancetorch", Role.OURS),
            new Implementation("lancetorch-scan", "lancetorchScan", Role.OURS),
            new Implementation("copying", "copying", Role.PEER),
            new Implementation("copying-by-heap", "copyingByHeap", Role.PEER),
            new Implementation("bare-scan", "bareScan", Role.LIMIT),
            new Implementation("memcpy", "memcpy", Role.TO_COMPARE)),
    DECODE(
            "decode",
            "JPEGs to float pixels of " + DecodeBenchmark.SIDE + " x " + DecodeBenchmark.SIDE + " on one thread",
            "images/s",
            true,
            DecodeBenchmark.class,
            new Implementation("lancetorch", "lancetorch", Role.OURS),
            new Implementation("imageio", "imageio", Role.PEER),
            new Implementation("decode-only", "decodeOnly", Role.LIMIT));

    /** What an implementation is compared for. */
    enum Role {
        OURS,
        PEER,
        LIMIT,
        TO_COMPARE
    }

    /** {@code method}: the one of the benchmark class. {@code jvmArguments}: beside those of every fork. */
    record Implementation(String name, String method, Role role, List<String> jvmArguments) {
        Implementation(String name, String method, Role role, String... jvmArguments) {
            this(name, method, role, List.of(jvmArguments));
        }
    }

    final String id;
    final String title;
    final String unit;
    final boolean moreIsBetter;
    final Class<?> benchmark;
    final List<Implementation> implementations;

    Case(
            String id,
            String title,
            String unit,
            boolean moreIsBetter,
            Class<?> benchmark,
            Implementation... implementations) {
        this.id = id;
        this.title = title;
        this.unit = unit;
        this.moreIsBetter = moreIsBetter;
        this.benchmark = benchmark;
        this.implementations = List.of(implementations);
    }

    /** How fast a score is, in a unit that only this case has. */
    double speed(double score) {
        return moreIsBetter ? score : 1 / score;
    }
}
