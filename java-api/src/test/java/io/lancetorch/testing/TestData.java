package io.lancetorch.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Where the tests' files lie. */
public final class TestData {
    private TestData() {}

    /** A file or folder under src/test/resources. */
    public static Path resource(String name) {
        try {
            return Path.of(TestData.class.getResource("/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }

    /** A copy of a folder, to be spoiled. */
    public static Path copy(Path source, Path target) throws IOException {
        List<Path> all;
        try (var walk = Files.walk(source)) {
            all = walk.toList();
        }
        for (Path path : all) {
            Path to = target.resolve(source.relativize(path).toString());
            if (Files.isDirectory(path)) {
                Files.createDirectories(to);
            } else {
                Files.copy(path, to);
            }
        }
        return target;
    }

    /** The folder of 1,000 real photographs by class, which is no part of the project; the test is skipped without it. */
    public static Path photographs() {
        String named = System.getenv("LANCETORCH_TEST_DATA");
        Path folder = (named == null
                        ? Path.of(System.getProperty("lancetorch.root")).resolve("../shared/data")
                        : Path.of(named))
                .resolve("clothing")
                .normalize();
        assumeTrue(
                Files.isDirectory(folder),
                "skipped: no photographs at " + folder + "; LANCETORCH_TEST_DATA may name the folder that has them");
        return folder;
    }
}
