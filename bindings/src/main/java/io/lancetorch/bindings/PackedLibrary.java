package io.lancetorch.bindings;

import io.lancetorch.error.StorageException;
import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.nio.file.Path;
import org.bytedeco.javacpp.Loader;

/** Libraries inside jars, each unpacked once to JavaCPP's own cache; those of one jar's folder lie in one folder there. */
final class PackedLibrary {
    private PackedLibrary() {}

    /**
     * The file; null where no such resource is on the class path.
     *
     * @throws StorageException where it cannot be unpacked
     */
    static Path unpack(String resource) {
        URL url = PackedLibrary.class.getClassLoader().getResource(resource);
        if (url == null) {
            return null;
        }
        try {
            File file = Loader.cacheResource(url);
            if (file == null) {
                throw new StorageException("JavaCPP could not unpack " + resource + " to " + Loader.getCacheDir());
            }
            return file.toPath().toAbsolutePath();
        } catch (IOException e) {
            throw new StorageException("cannot unpack " + resource + " to JavaCPP's cache: " + e.getMessage(), e);
        }
    }
}
