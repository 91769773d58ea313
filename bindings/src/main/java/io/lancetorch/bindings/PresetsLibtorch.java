package io.lancetorch.bindings;

import io.lancetorch.error.NotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The CPU libtorch inside the JavaCPP PyTorch presets, unpacked once to JavaCPP's own cache. The files are opened directly
 * and not by {@code Loader.load}, which would also load the presets' JNI glue and take four times as long.
 */
public final class PresetsLibtorch {
    private PresetsLibtorch() {}

    /**
     * The files to open, in this order.
     *
     * @throws NotFoundException where the presets' jars for this platform are not on the class path, or there are none
     */
    static List<Path> unpack() {
        Platform platform = Platform.current();
        if (!platform.hasPresets()) {
            throw new NotFoundException("the JavaCPP presets have no libtorch for " + platform.classifier()
                    + ": name one with -Dlancetorch.libtorch=DIR or LANCETORCH_LIBTORCH, such as a pip installation's"
                    + " torch folder, for which ./lancetorch build --libtorch DIR builds the shim");
        }
        List<Path> files = new ArrayList<>();
        try {
            for (String name : platform.openblas()) {
                files.add(unpack("openblas", platform, name));
            }
            for (String name : platform.pytorch()) {
                files.add(unpack("pytorch", platform, name));
            }
        } catch (NoClassDefFoundError e) {
            throw new NotFoundException(
                    "org.bytedeco:javacpp is not on the class path, so the libtorch of the JavaCPP presets cannot be"
                            + " unpacked; add it, or name a libtorch with -Dlancetorch.libtorch=DIR",
                    e);
        }
        return files;
    }

    private static Path unpack(String preset, Platform platform, String name) {
        String resource = "org/bytedeco/" + preset + "/" + platform.classifier() + "/" + name;
        Path file = PackedLibrary.unpack(resource);
        if (file == null) {
            throw new NotFoundException("no " + resource + " on the class path: add org.bytedeco:" + preset
                    + " with the classifier " + platform.classifier()
                    + ", or name a libtorch with -Dlancetorch.libtorch=DIR or LANCETORCH_LIBTORCH");
        }
        return file;
    }

    /**
     * Writes the folders of the unpacked libraries, none where the presets have none for this platform, to the CMake cache
     * script {@code args[0]}. Called by the build.
     */
    public static void main(String[] args) throws IOException {
        List<Path> files = Platform.current().hasPresets() ? unpack() : List.of();
        List<String> folders = files.stream()
                .map(file -> file.getParent().toString())
                .distinct()
                .toList();
        Path script = Path.of(args[0]);
        Files.createDirectories(script.toAbsolutePath().getParent());
        Files.writeString(
                script, "set(LANCETORCH_PRESETS_DIR \"" + String.join(";", folders) + "\" CACHE STRING \"\" FORCE)\n");
    }
}
