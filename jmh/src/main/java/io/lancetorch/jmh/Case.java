package io.lancetorch.jmh;

import static io.lancetorch.jmh.Role.LIMIT;
import static io.lancetorch.jmh.Role.OURS;
import static io.lancetorch.jmh.Role.PEER;
import static io.lancetorch.jmh.Role.TO_COMPARE;

import io.lancetorch.jmh.JmhRun.Secondary;
import io.lancetorch.jmh.PythonEnvironment.Part;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Function;

/** What {@code bench} can run: each with lancetorch, its peers, and its limit. */
enum Case {
    OP("op", "one operator call, at::add of 1 element", Case::op),
    SCAN("scan", "a scan of float32[" + Inputs.WIDTH + "] to tensors of " + ScanBenchmark.BATCH + " rows", Case::scan),
    TAKE("take", "takes of " + TakeBenchmark.ROWS + " random rows of float32[" + Inputs.WIDTH + "]", Case::take),
    DECODE("decode", "JPEGs to float pixels of " + DecodeBenchmark.SIDE + " px on one thread", Case::decode),
    BATCH("batch", "encoded rows to a batch of images and labels on one thread", Case::batch),
    LOADER("loader", "the whole loader: JPEGs of a dataset to shuffled batches with labels", Case::loader),
    CACHED("cached", "the loader's cached epochs beside its decoding ones", Case::cached),
    START("start", "from the start of the process to its first batch of float pixels", Case::start),
    COLLECTIVES("collectives", "the sum of a tensor over two ranks, by Gloo", Case::collectives),
    STEP("step", "a training step of two ranks that watch each other, beside one without that", Case::step),
    GPU("gpu", "copies to a GPU, small operators on it, and NCCL's sums", Case::gpu);

    private static final String RATE = "images/s";
    private static final List<Integer> SIZES = List.of(1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20);

    final String id;
    final String title;
    private final Function<Settings, List<Implementation>> implementations;

    Case(String id, String title, Function<Settings, List<Implementation>> implementations) {
        this.id = id;
        this.title = title;
        this.implementations = implementations;
    }

    /** Ours come first, limits last. */
    List<Implementation> implementations(Settings settings) {
        return implementations.apply(settings);
    }

    static List<String> ids() {
        return Arrays.stream(values()).map(benchmark -> benchmark.id).toList();
    }

    private static List<Implementation> op(Settings settings) {
        String unit = "ns/op";
        Class<?> benchmark = OpBenchmark.class;
        return List.of(
                JmhRun.ours("lancetorch", OURS, unit, benchmark, "lancetorch"),
                JmhRun.ours("lancetorch-scope", OURS, unit, benchmark, "lancetorchScope"),
                JmhRun.ours("javacpp-presets", PEER, unit, benchmark, "presets"),
                JmhRun.ours("javacpp-presets-scope", PEER, unit, benchmark, "presetsScope"),
                JmhRun.ours("javacpp-presets-nogc", TO_COMPARE, unit, benchmark, "presets")
                        .jvm(
                                "-Dorg.bytedeco.javacpp.nopointergc=true",
                                "-Dorg.bytedeco.javacpp.maxBytes=0",
                                "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0"),
                PythonRun.of("python torch", "call.py"),
                JmhRun.ours("bare-downcall", LIMIT, unit, benchmark, "bareDowncall"));
    }

    /** What a bare copy and a bare sum give, native/gpu-checks/run measures beside them. */
    private static List<Implementation> gpu(Settings settings) {
        return List.of(new GpuRun("lancetorch"), PythonRun.of("python torch", "gpu.py"));
    }

    private static String vectors(Settings settings) {
        return settings.folder().resolve("vectors.lance").toString();
    }

    private static List<Implementation> scan(Settings settings) {
        String unit = "GB/s";
        Class<?> ours = ScanBenchmark.class;
        String sdk = "LanceJavaBenchmark";
        return List.of(
                JmhRun.ours("lancetorch", OURS, unit, ours, "lancetorch"),
                JmhRun.ours("lancetorch-scan", OURS, unit, ours, "lancetorchScan"),
                JmhRun.ours("copying", TO_COMPARE, unit, ours, "copying"),
                JmhRun.ours("copying-by-heap", TO_COMPARE, unit, ours, "copyingByHeap"),
                JmhRun.peer("lance-java, to Arrow vectors", PEER, unit, sdk, "scan"),
                JmhRun.peer("lance-java, copied to presets' tensors", PEER, unit, sdk, "scanToTensors"),
                PythonRun.of("python LanceDataset", "vectors.py", "scan", vectors(settings), Inputs.VECTOR),
                JmhRun.ours("bare-scan", TO_COMPARE, unit, ours, "bareScan"),
                JmhRun.ours("memcpy", TO_COMPARE, unit, ours, "memcpy"),
                LimitRun.of("rust lance", "", unit, 1e-9, "scan", vectors(settings), Inputs.VECTOR));
    }

    private static List<Implementation> take(Settings settings) {
        String unit = "rows/s";
        String sdk = "LanceJavaBenchmark";
        return List.of(
                JmhRun.ours("lancetorch", OURS, unit, TakeBenchmark.class, "lancetorch"),
                JmhRun.peer("lance-java, to Arrow vectors", PEER, unit, sdk, "take"),
                JmhRun.peer("lance-java, copied to presets' tensors", PEER, unit, sdk, "takeToTensor"),
                PythonRun.of("python SafeLanceDataset", "vectors.py", "take", vectors(settings), Inputs.VECTOR),
                LimitRun.of("rust lance", "", unit, 1, "take", vectors(settings), Inputs.VECTOR));
    }

    private static List<Implementation> decode(Settings settings) {
        Class<?> ours = DecodeBenchmark.class;
        String photos = settings.folder().resolve("photos.lance").toString();
        int half = DecodeBenchmark.SIDE / 2;
        String small = half + " px";
        String bare = "rust libjpeg-turbo + resize";
        return List.of(
                JmhRun.ours("lancetorch", OURS, RATE, ours, "lancetorch"),
                JmhRun.ours("lancetorch random crop", OURS, RATE, ours, "lancetorch")
                        .with("transform", "crop"),
                JmhRun.ours("imageio", PEER, RATE, ours, "imageio"),
                djl("djl, opencv", "decode").with("factory", "opencv").jvm(photoFiles(settings)),
                djl("djl, imageio", "decode").with("factory", "buffered").jvm(photoFiles(settings)),
                PythonRun.of("python Pillow + torchvision", "decode.py", "decode", photos, Inputs.IMAGE),
                JmhRun.ours("decode-only", TO_COMPARE, RATE, ours, "decodeOnly"),
                LimitRun.of(bare, "", RATE, 1, "decode", photos, Inputs.IMAGE),
                JmhRun.ours("lancetorch " + small, OURS, RATE, ours, "lancetorch")
                        .group(small)
                        .with("side", half),
                JmhRun.ours("lancetorch " + small + " fast", OURS, RATE, ours, "lancetorch")
                        .group(small)
                        .with("side", half)
                        .with("transform", "fast"),
                LimitRun.of(bare + " " + small, small, RATE, 1, "decode", photos, Inputs.IMAGE, "--size", half));
    }

    private static List<Implementation> batch(Settings settings) {
        String photos = settings.folder().resolve("photos.lance").toString();
        return List.of(
                JmhRun.ours("lancetorch", OURS, RATE, BatchBenchmark.class, "lancetorch"),
                djl("djl, opencv", "batch").with("factory", "opencv").jvm(photoFiles(settings)),
                djl("djl, imageio", "batch").with("factory", "buffered").jvm(photoFiles(settings)),
                PythonRun.of("python Pillow + torchvision", "decode.py", "batch", photos, Inputs.IMAGE),
                LimitRun.of(
                        "rust libjpeg-turbo + resize",
                        "",
                        RATE,
                        1,
                        "decode",
                        photos,
                        Inputs.IMAGE,
                        "--batch",
                        BatchBenchmark.ROWS));
    }

    private static String photoFiles(Settings settings) {
        return "-D" + Inputs.FILES + "=" + Inputs.files(settings.folder().resolve("photos"));
    }

    private static JmhRun djl(String name, String method) {
        return JmhRun.peer(name, PEER, RATE, "DjlBenchmark", method);
    }

    private static List<Implementation> loader(Settings settings) {
        List<Implementation> all = new ArrayList<>();
        for (String pixel : List.of("float", "uint8")) {
            for (int threads : settings.threadCounts()) {
                String name = "lancetorch " + threads(threads) + " " + pixel;
                JmhRun run = loader(
                                JmhRun.ours(name, OURS, RATE, LoaderBenchmark.class, "lancetorch"),
                                settings,
                                threads,
                                pixel)
                        .with("pixel", pixel)
                        .also(new Secondary(
                                "gc.alloc.rate.norm", " heap", "heap of a batch", "B/batch", bytes -> bytes));
                all.add(run);
            }
            all.add(new FirstEpochRun("lancetorch " + threads(settings.threads()) + " " + pixel, pixel));
        }
        for (int threads : new TreeSet<>(List.of(1, settings.threads()))) {
            for (String factory : List.of("opencv", "buffered")) {
                String name = djlLoader(factory) + " " + threads(threads);
                all.add(loader(djl(name, "loader"), settings, threads, "float").with("factory", factory));
            }
        }
        all.add(loader(settings, "python LanceDataset 1 process", Part.BASE, "iterable", 1, "float"));
        all.add(loader(settings, "python SafeLanceDataset", Part.BASE, "map", settings.threads(), "float"));
        all.add(loader(settings, "python torchvision ImageFolder", Part.BASE, "folder", settings.threads(), "float"));
        for (String pixel : List.of("float", "uint8")) {
            all.add(loader(settings, "python DALI CPU", Part.DALI, "dali", settings.threads(), pixel));
            all.add(loader(settings, "python FFCV", Part.FFCV, "ffcv", settings.threads(), pixel));
        }
        for (String pixel : List.of("float", "uint8")) {
            for (int threads : settings.threadCounts()) {
                String name = "rust libjpeg-turbo + resize " + threads(threads) + " " + pixel;
                if (threads == 1) {
                    all.add(limit(settings, name + " per core", pixel + ", per core", threads, pixel));
                }
                if (threads == settings.threads()) {
                    all.add(limit(settings, name, pixel, threads, pixel));
                }
            }
        }
        return all;
    }

    private static String djlLoader(String factory) {
        return "djl ImageFolder, " + (factory.equals("buffered") ? "imageio" : factory);
    }

    private static String threads(int count) {
        return count == 1 ? "1 thread" : count + " threads";
    }

    /** With the loader's parameters; one thread also says what a core does. */
    private static JmhRun loader(JmhRun run, Settings settings, int threads, String pixel) {
        int rows = settings.batchSize();
        JmhRun with = run.group(pixel)
                .scaledBy(rows)
                .with("threads", threads)
                .with("size", settings.imageSize())
                .with("batch", rows);
        return threads > 1
                ? with
                : with.also(new Secondary(
                        CpuProfiler.RESULT, " per core", pixel + ", per core", RATE, nanos -> rows * 1e9 / nanos));
    }

    private static PythonRun loader(
            Settings settings, String name, Part part, String loader, int workers, String pixel) {
        return PythonRun.of(
                name + " " + pixel, part, "loaders.py", loaderArguments(settings, name, loader, workers, pixel));
    }

    private static Object[] loaderArguments(Settings settings, String name, String loader, int workers, String pixel) {
        List<Object> arguments = new ArrayList<>(List.of(loader, settings.dataset(), settings.files()));
        arguments.addAll(List.of("--name", name, "--column", settings.column(), "--pixel", pixel));
        arguments.addAll(List.of("--image-size", settings.imageSize(), "--batch-size", settings.batchSize()));
        arguments.addAll(List.of("--workers", workers));
        return arguments.toArray();
    }

    private static LimitRun limit(Settings settings, String name, String group, int threads, String pixel) {
        return LimitRun.of(
                name,
                group,
                RATE,
                1,
                "decode",
                settings.dataset(),
                settings.column(),
                "--size",
                settings.imageSize(),
                "--threads",
                threads,
                "--batch",
                settings.batchSize(),
                "--stage",
                pixel.equals("float") ? "float" : "resize");
    }

    /** What the cache is instead of is its peer here. */
    private static List<Implementation> cached(Settings settings) {
        List<Implementation> all = new ArrayList<>();
        for (String pixel : List.of("uint8", "float")) {
            int threads = settings.threads();
            Class<?> ours = LoaderBenchmark.class;
            all.add(loader(
                            JmhRun.ours("lancetorch cached " + pixel, OURS, RATE, ours, "lancetorch"),
                            settings,
                            threads,
                            pixel)
                    .with("pixel", pixel)
                    .with("cached", true));
            all.add(loader(
                            JmhRun.ours("lancetorch decoding " + pixel, PEER, RATE, ours, "lancetorch"),
                            settings,
                            threads,
                            pixel)
                    .with("pixel", pixel));
            long bytes = 3L * settings.imageSize() * settings.imageSize() * (pixel.equals("float") ? Float.BYTES : 1);
            all.add(LimitRun.of(
                    "rust memcpy of a batch " + pixel,
                    pixel,
                    RATE,
                    1.0 / bytes,
                    "memcpy",
                    "--bytes",
                    bytes * settings.batchSize()));
        }
        return all;
    }

    private static List<Implementation> start(Settings settings) {
        List<Implementation> all = new ArrayList<>();
        all.add(new StartRun("lancetorch", OURS, lab -> firstEpoch(lab, "float")));
        all.add(new StartRun("lancetorch AOT cache", OURS, lab -> lab.withAotCache(firstEpoch(lab, "float"))));
        for (String factory : List.of("opencv", "buffered")) {
            all.add(new StartRun(
                    djlLoader(factory),
                    PEER,
                    lab -> lab.javaCommand(
                            JmhRun.ClassPath.PEERS,
                            List.of(),
                            "io.lancetorch.jmh.peers.DjlFirstBatch",
                            List.of(
                                    settings.files().toString(),
                                    String.valueOf(settings.imageSize()),
                                    String.valueOf(settings.batchSize()),
                                    String.valueOf(settings.threads()),
                                    factory))));
        }
        Map<String, Part> parts = Map.of("dali", Part.DALI, "ffcv", Part.FFCV);
        Map<String, String> names = Map.of(
                "map", "python SafeLanceDataset",
                "iterable", "python LanceDataset",
                "folder", "python torchvision ImageFolder",
                "dali", "python DALI CPU",
                "ffcv", "python FFCV");
        for (String loader : List.of("map", "iterable", "folder", "dali", "ffcv")) {
            Object[] arguments = loaderArguments(settings, loader, loader, settings.threads(), "float");
            PythonRun run =
                    PythonRun.of(names.get(loader), parts.getOrDefault(loader, Part.BASE), "loaders.py", arguments);
            all.add(new StartRun(
                    run.name(), PEER, lab -> lab.pythonCommand(run.part(), run.script(), run.arguments())));
        }
        return all;
    }

    /** Starts a JVM that reads an epoch with our loader. */
    static List<String> firstEpoch(Lab lab, String pixel) throws IOException, InterruptedException, Unavailable {
        Settings settings = lab.settings();
        return lab.javaCommand(
                JmhRun.ClassPath.OURS,
                List.of(),
                FirstEpoch.class.getName(),
                List.of(
                        String.valueOf(settings.imageSize()),
                        String.valueOf(settings.batchSize()),
                        String.valueOf(settings.threads()),
                        pixel));
    }

    private static List<Implementation> collectives(Settings settings) {
        List<Implementation> all = new ArrayList<>();
        String unit = "us/op";
        for (int bytes : SIZES) {
            String size = sizeName(bytes);
            all.add(JmhRun.ours("lancetorch " + size, OURS, unit, CollectivesBenchmark.class, "lancetorch")
                    .group(size)
                    .with("bytes", bytes));
            all.add(JmhRun.ours("javacpp-presets " + size, PEER, unit, CollectivesBenchmark.class, "presets")
                    .group(size)
                    .with("bytes", bytes));
        }
        all.add(PythonRun.of("python torch.distributed", "collectives.py", SIZES.toArray()));
        for (int bytes : SIZES) {
            String size = sizeName(bytes);
            all.add(JmhRun.ours("memcpy " + size, LIMIT, unit, CollectivesBenchmark.class, "memcpy")
                    .group(size)
                    .with("bytes", bytes));
        }
        return all;
    }

    private static List<Implementation> step(Settings settings) {
        String unit = "us/op";
        return List.of(
                JmhRun.ours("lancetorch", OURS, unit, StepBenchmark.class, "train")
                        .with("watched", true),
                PythonRun.of("python DistributedDataParallel", "step.py", StepBenchmark.WIDTH),
                JmhRun.ours("lancetorch unwatched", LIMIT, unit, StepBenchmark.class, "train")
                        .with("watched", false));
    }

    private static String sizeName(int bytes) {
        return bytes >= 1 << 20 ? (bytes >> 20) + " MB" : (bytes >> 10) + " KB";
    }
}
