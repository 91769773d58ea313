package io.lancetorch.bindings;

import io.lancetorch.error.UnsupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * What a machine's native libraries are called, and where jars have them.
 *
 * @param classifier as JavaCPP names platforms, such as {@code linux-x86_64}
 * @param suffix of the file of a library
 * @param openblas what to open of the presets' openblas, in this order; empty where the presets have no libtorch
 * @param pytorch what to open of the presets' libtorch then
 */
record Platform(String classifier, String suffix, List<String> openblas, List<String> pytorch) {
    private static final List<Platform> ALL = List.of(
            new Platform(
                    "linux-x86_64",
                    ".so",
                    List.of("libgcc_s.so.1", "libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0"),
                    List.of("libgomp.so.1", "libc10.so", "libtorch_cpu.so", "libtorch.so")),
            new Platform("linux-arm64", ".so", List.of(), List.of()),
            new Platform(
                    "macosx-arm64",
                    ".dylib",
                    List.of("libgcc_s.1.1.dylib", "libquadmath.0.dylib", "libgfortran.5.dylib", "libopenblas.0.dylib"),
                    List.of("libiomp5.dylib", "libc10.dylib", "libtorch_cpu.dylib", "libtorch.dylib")));

    /**
     * This machine's.
     *
     * @throws UnsupportedException where lancetorch has no native side for it
     */
    static Platform current() {
        return of(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    /** By the system properties {@code os.name} and {@code os.arch}. */
    static Platform of(String osName, String osArch) {
        String name = osName.toLowerCase(Locale.ROOT);
        String os = name.startsWith("linux") ? "linux" : name.startsWith("mac") ? "macosx" : name;
        String arch =
                switch (osArch.toLowerCase(Locale.ROOT)) {
                    case "amd64", "x86_64", "x86-64" -> "x86_64";
                    case "aarch64", "arm64" -> "arm64";
                    default -> osArch;
                };
        String classifier = os + "-" + arch;
        return ALL.stream()
                .filter(platform -> platform.classifier.equals(classifier))
                .findFirst()
                .orElseThrow(() -> new UnsupportedException("lancetorch has no native libraries for " + osName + " on "
                        + osArch + ", looked for as " + classifier + ": it runs on "
                        + String.join(
                                ", ", ALL.stream().map(Platform::classifier).toList())
                        + "; on Windows, run it in WSL 2"));
    }

    /** The file of a library of ours or of libtorch's. */
    String file(String library) {
        return "lib" + library + suffix;
    }

    boolean hasPresets() {
        return !pytorch.isEmpty();
    }

    /** What to say beside the system's own words where a library does not open. */
    static String hint() {
        return isMusl(Path.of("/lib"))
                ? " (this is a Linux with musl; libtorch and lancetorch's packages are for one with glibc)"
                : "";
    }

    /** Whether the only C library in a folder of libraries is musl's. */
    static boolean isMusl(Path lib) {
        for (String arch : List.of("x86_64", "aarch64")) {
            if (Files.exists(lib.resolve("ld-musl-" + arch + ".so.1"))) {
                return !Files.exists(lib.resolve("ld-linux-" + arch.replace('_', '-') + ".so.2"))
                        && !Files.exists(lib.resolve("ld-linux-" + arch + ".so.1"))
                        && !Files.exists(lib.resolveSibling("lib64").resolve("ld-linux-x86-64.so.2"));
            }
        }
        return false;
    }
}
