package io.lancetorch.bindings;

import io.lancetorch.error.NotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.Loader;

/**
 * The CPU libtorch inside the JavaCPP PyTorch presets, unpacked once to JavaCPP's own cache. The files are opened directly
 * and not by {@code Loader.load}, which would also load the presets' JNI glue and take four times as long.
 */
public final class PresetsLibtorch {
    private static final List<String> OPENBLAS =
            List.of("libgcc_s.so.1", "libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0");
    private static final List<String> PYTORCH = List.of("libgomp.so.1", "libc10.so", "libtorch_cpu.so", "libtorch.so");

    private PresetsLibtorch() {}

    /**
     * The files to open, in this order.
     *
     * @throws NotFoundException where the presets' jars for this platform are not on the class path
     */
    static List<Path> unpack() {
        List<Path> files = new ArrayList<>();
        try {
            for (String name : OPENBLAS) {
                files.add(unpack("openblas", name));
            }
            for (String name : PYTORCH) {
                files.add(unpack("pytorch", name));
            }
        } catch (NoClassDefFoundError e) {
            throw new NotFoundException(
                    "org.bytedeco:javacpp is not on the class path, so the libtorch of the JavaCPP presets cannot be"
                            + " unpacked; add it, or name a libtorch with -Dlancetorch.libtorch=DIR",
                    e);
        }
        return files;
    }

    private static Path unpack(String preset, String name) {
        String resource = "org/bytedeco/" + preset + "/" + Loader.getPlatform() + "/" + name;
        Path file = PackedLibrary.unpack(resource);
        if (file == null) {
            throw new NotFoundException("no " + resource + " on the class path: add org.bytedeco:" + preset
                    + " with the classifier " + Loader.getPlatform()
                    + ", or name a libtorch with -Dlancetorch.libtorch=DIR or LANCETORCH_LIBTORCH");
        }
        return file;
    }

    /** Writes the folders of the unpacked libraries to the CMake cache script {@code args[0]}. Called by the build. */
    public static void main(String[] args) throws IOException {
        List<String> folders = unpack().stream()
                .map(file -> file.getParent().toString())
                .distinct()
                .toList();
        Path script = Path.of(args[0]);
        Files.createDirectories(script.toAbsolutePath().getParent());
        Files.writeString(
                script, "set(LANCETORCH_PRESETS_DIR \"" + String.join(";", folders) + "\" CACHE STRING \"\" FORCE)\n");
    }
}
