package io.lancetorch.bindings;

import io.lancetorch.error.StorageException;
import java.io.File;
import java.io.IOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.jar.JarFile;
import org.bytedeco.javacpp.Loader;

/** Libraries inside jars, each unpacked once to JavaCPP's own cache; those of one jar's folder lie in one folder there. */
final class PackedLibrary {
    private PackedLibrary() {}

    /**
     * As {@link #unpack}, also where another build's file lies in the cache: JavaCPP tells files by name, size and time alone,
     * and two builds may have all three alike. The checksum that the jar has anyway is kept beside the file.
     */
    static synchronized Path unpackSame(String resource) {
        try {
            Path cache = Loader.getCacheDir().toPath();
            URL url = PackedLibrary.class.getClassLoader().getResource(resource);
            if (url == null) {
                return null;
            }
            if (!(url.openConnection() instanceof JarURLConnection inJar)) {
                return unpack(resource);
            }
            inJar.setUseCaches(false);
            String checksum;
            try (JarFile jar = inJar.getJarFile()) {
                checksum = Long.toHexString(jar.getEntry(inJar.getEntryName()).getCrc());
            }
            Path lock =
                    cache.resolve("." + Path.of(inJar.getJarFileURL().getPath()).getFileName() + ".lock");
            // Ranks that start at once must not take a file away from each other.
            try (var channel = FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                    var _ = channel.lock()) {
                Path file = unpack(resource);
                Path known = file.resolveSibling(file.getFileName() + ".crc32");
                if (!Files.exists(known) || !Files.readString(known).equals(checksum)) {
                    Files.delete(file);
                    file = unpack(resource);
                    Files.writeString(known, checksum);
                }
                return file;
            }
        } catch (IOException e) {
            throw new StorageException("cannot unpack " + resource + " to JavaCPP's cache: " + e.getMessage(), e);
        }
    }

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
