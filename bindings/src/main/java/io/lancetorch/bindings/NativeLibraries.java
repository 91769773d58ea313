package io.lancetorch.bindings;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import java.io.IOException;
import java.io.Reader;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;

/**
 * Opens the shims and the libtorch below them, once for the process and for ever. Where a shim lies is said by the
 * system property {@code lancetorch.native} or the variable {@code LANCETORCH_NATIVE}; otherwise it is that of the
 * lancetorch-natives jar on the class path. Which libtorch it runs with is said by {@code lancetorch.libtorch} or {@code
 * LANCETORCH_LIBTORCH}, otherwise by whoever built the folder, and otherwise it is the JavaCPP presets'.
 *
 * <p>Whoever calls into jextract's {@code torch_h}, {@code lance_h} or {@code cuda_h} calls {@link #torch()}, {@link #lance()}
 * or {@link #cuda()} before.
 */
public final class NativeLibraries {
    /** Where the lancetorch-natives jar of a platform has its files. */
    private static final String PACKED = "io/lancetorch/natives/";

    private NativeLibraries() {}

    /** Opens libtorch and its shim at the first call. Any thread. */
    public static void torch() {
        Torch.open();
    }

    /** Opens the Lance shim at the first call. Any thread. */
    public static void lance() {
        Lance.open();
    }

    /**
     * Opens libtorch, its shim, and the library over CUDA's own headers, at the first call. Any thread.
     *
     * @throws UnsupportedException where the shims were built for a libtorch without CUDA
     */
    public static void cuda() {
        torch();
        Cuda.open();
    }

    private static final class Cuda {
        private static final RuntimeException FAILURE = attempt(NativeLibraries::openCuda);

        static void open() {
            rethrow(FAILURE);
        }
    }

    private static final class Torch {
        private static final RuntimeException FAILURE = attempt(NativeLibraries::openTorch);

        static void open() {
            rethrow(FAILURE);
        }
    }

    private static final class Lance {
        private static final RuntimeException FAILURE = attempt(() -> load(shim("lancetorch_lance")));

        static void open() {
            rethrow(FAILURE);
        }
    }

    /** A failure is kept and thrown at each call, as itself and not as a NoClassDefFoundError that names nothing. */
    private static RuntimeException attempt(Runnable opening) {
        try {
            opening.run();
            return null;
        } catch (RuntimeException e) {
            return e;
        }
    }

    private static void rethrow(RuntimeException failure) {
        if (failure != null) {
            throw failure;
        }
    }

    private static void openTorch() {
        Path shim = shim("lancetorch_torch");
        Properties build = buildProperties(shim);
        String builtFor = build.getProperty("torch.version");
        String named = namedLibtorch(build);
        String where;
        if (named == null) {
            List<Path> files = PresetsLibtorch.unpack();
            files.forEach(NativeLibraries::load);
            where = files.getLast().getParent().toString();
        } else {
            Path folder = Path.of(named).toAbsolutePath();
            Platform platform = Platform.current();
            Path lib = folder.resolve("lib");
            Path library = lib.resolve(platform.file("torch"));
            if (!Files.exists(library)) {
                throw new NotFoundException("no libtorch at " + folder + " (looked for lib/" + library.getFileName()
                        + "): correct -Dlancetorch.libtorch or LANCETORCH_LIBTORCH");
            }
            load(lib.resolve(platform.file("c10")));
            load(lib.resolve(platform.file("torch_cpu")));
            load(library);
            where = folder.toString();
        }
        String running = runtimeVersion(where);
        requireVersion(builtFor, running, shim, where);
        load(shim);
    }

    private static void openCuda() {
        Path library =
                shim("lancetorch_torch").resolveSibling(Platform.current().file("lancetorch_cuda"));
        if (!Files.exists(library)) {
            throw new UnsupportedException("NCCL and CUDA graphs need " + library
                    + ", which is not there: ./lancetorch build --libtorch DIR makes it, for a libtorch in DIR that has"
                    + " CUDA");
        }
        load(library);
    }

    /** The folder of the libtorch that is used in place of the presets', or null where it is theirs. Opens nothing. */
    public static String namedLibtorch() {
        return namedLibtorch(buildProperties(shim("lancetorch_torch")));
    }

    private static String namedLibtorch(Properties build) {
        String named = setting("lancetorch.libtorch", "LANCETORCH_LIBTORCH");
        // The folder in which a jar was built is on another machine.
        return named == null && namedFolder() != null ? build.getProperty("torch.home") : named;
    }

    /** C++ has no stable ABI across libtorch versions, so a shim must not even be opened beside another than its own. */
    static void requireVersion(String builtFor, String running, Path shim, String libtorch) {
        if (!builtFor.equals(running)) {
            throw new UnsupportedException("the shim " + shim + " was compiled for libtorch " + builtFor
                    + ", but the libtorch at " + libtorch + " is " + running
                    + ": build the shim for it with ./lancetorch build --libtorch DIR, or name the libtorch "
                    + builtFor + " that it was built for");
        }
    }

    private static Properties buildProperties(Path shim) {
        String name = "liblancetorch_torch.properties";
        Path file = namedFolder() == null ? packed(name) : shim.resolveSibling(name);
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(file)) {
            properties.load(reader);
        } catch (IOException e) {
            throw new StorageException("cannot read " + file + ", which the build writes beside the shim: " + e, e);
        }
        if (properties.getProperty("torch.version") == null) {
            throw new StorageException(file + " names no torch.version: run ./lancetorch build again");
        }
        return properties;
    }

    /** libtorch's own answer, by its stable C ABI ({@code torch/csrc/inductor/aoti_torch/c/shim.h}, since 2.9). */
    private static String runtimeVersion(String where) {
        MemorySegment function = SymbolLookup.loaderLookup()
                .find("aoti_torch_abi_version")
                .orElseThrow(() -> new UnsupportedException("the libtorch at " + where
                        + " is older than 2.9: lancetorch works with libtorch 2.10 to 2.13"));
        long version;
        try {
            version = (long) Linker.nativeLinker()
                    .downcallHandle(function, FunctionDescriptor.of(ValueLayout.JAVA_LONG))
                    .invokeExact();
        } catch (Throwable e) {
            throw new IllegalStateException("aoti_torch_abi_version threw", e);
        }
        return (version >>> 56) + "." + (version >>> 48 & 0xff) + "." + (version >>> 40 & 0xff);
    }

    private static String namedFolder() {
        return setting("lancetorch.native", "LANCETORCH_NATIVE");
    }

    private static Path shim(String library) {
        String name = Platform.current().file(library);
        String folder = namedFolder();
        if (folder == null) {
            return packed(name);
        }
        Path file = Path.of(folder).toAbsolutePath().resolve(name);
        if (!Files.exists(file)) {
            throw new NotFoundException(
                    "no " + file + ": run ./lancetorch build, or correct -Dlancetorch.native or LANCETORCH_NATIVE");
        }
        return file;
    }

    private static Path packed(String name) {
        String platform = Platform.current().classifier();
        boolean unpacks = true;
        Path file = null;
        try {
            file = PackedLibrary.unpackSame(PACKED + platform + "/" + name);
        } catch (NoClassDefFoundError e) {
            // JavaCPP, which unpacks, is not there: then no jar's libraries are.
            unpacks = false;
        }
        if (file == null) {
            throw new NotFoundException("no " + name + ": looked for a folder named by -Dlancetorch.native or"
                    + " LANCETORCH_NATIVE, then "
                    + (!unpacks
                            ? "for org.bytedeco:javacpp on the class path, which unpacks libraries"
                            : "for " + PACKED + platform + "/" + name + " on the class path")
                    + "; add io.lancetorch:lancetorch-natives with the classifier " + platform + ", or name the folder"
                    + " build/native/lib that ./lancetorch build makes");
        }
        return file;
    }

    private static String setting(String property, String variable) {
        String value = System.getProperty(property);
        if (value == null || value.isEmpty()) {
            value = System.getenv(variable);
        }
        return value == null || value.isEmpty() ? null : value;
    }

    private static void load(Path file) {
        try {
            System.load(file.toString());
        } catch (UnsatisfiedLinkError e) {
            throw new UnsupportedException("cannot open " + file + ": " + e.getMessage() + Platform.hint(), e);
        }
    }
}
