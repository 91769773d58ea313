package io.lancetorch.examples;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.lance.LanceDataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** The built-in drawings in the user's cache folder, made once. */
final class DefaultDataset {
    private static final int IMAGES = 5_000;
    private static final int FRAGMENT_SIZE = 1_250;
    private static final long WAIT_SECONDS = 300;

    private DefaultDataset() {}

    private static Path path() {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path root =
                cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
        return root.resolve("lancetorch/datasets/shapes-" + IMAGES + ".lance");
    }

    private static boolean exists() {
        try (LanceDataset dataset = LanceDataset.open(path().toString())) {
            return dataset.countRows() == IMAGES;
        } catch (NotFoundException e) {
            return false;
        }
    }

    /** Returns its path, after making it where it is missing. */
    static String require() throws IOException {
        if (!exists()) {
            Files.createDirectories(path().getParent());
            new DatasetCreation(new ShapesSource(IMAGES, 0), path().toString(), Map.of(), FRAGMENT_SIZE, true).write();
        }
        return path().toString();
    }

    /** Returns its path, once another process has made it. */
    static String await() throws InterruptedException {
        for (long second = 0; !exists(); second++) {
            if (second == WAIT_SECONDS) {
                throw new UserException("the default dataset has not appeared at " + path() + " within " + WAIT_SECONDS
                        + " s; rank 0 makes it");
            }
            Thread.sleep(1000);
        }
        return path().toString();
    }
}
