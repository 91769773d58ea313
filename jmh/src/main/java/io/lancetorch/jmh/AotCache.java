package io.lancetorch.jmh;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.spi.ToolProvider;

/**
 * Makes the cache of loaded and linked classes that HotSpot starts from (JEP 514), as a user makes it of his program: by one run
 * of it. It wants jars, and takes no folders of classes.
 */
final class AotCache {
    private final Path folder;

    /** {@code folder}: where cache and jars are written. */
    AotCache(Path folder) {
        this.folder = folder;
    }

    /**
     * The same command that starts from a cache; {@code command} is {@code java ... -cp PATH ...}, and it is run once.
     */
    List<String> command(Path log, List<String> command) throws IOException, InterruptedException, Unavailable {
        Files.createDirectories(folder);
        Path cache = folder.resolve("classes.aot");
        List<String> packed = new ArrayList<>(command);
        int classPath = packed.indexOf("-cp") + 1;
        packed.set(classPath, packed(packed.get(classPath)));
        List<String> training = new ArrayList<>(packed);
        training.add(1, "-XX:AOTCacheOutput=" + cache);
        Files.deleteIfExists(cache);
        Command.logged(log, folder, Map.of(), training);
        if (!Files.exists(cache)) {
            throw new Unavailable("the JVM wrote no AOT cache (" + log + ")");
        }
        packed.add(1, "-XX:AOTCache=" + cache);
        return packed;
    }

    private String packed(String classPath) throws Unavailable {
        List<String> entries = new ArrayList<>();
        for (String entry : classPath.split(File.pathSeparator)) {
            if (Files.isDirectory(Path.of(entry))) {
                String jar = folder.resolve(entries.size() + ".jar").toString();
                int status = ToolProvider.findFirst("jar")
                        .orElseThrow(() -> new Unavailable("the JDK has no jar tool"))
                        .run(System.err, System.err, "--create", "--file", jar, "-C", entry, ".");
                if (status != 0) {
                    throw new Unavailable("jar could not pack " + entry);
                }
                entries.add(jar);
            } else {
                entries.add(entry);
            }
        }
        return String.join(File.pathSeparator, entries);
    }
}
