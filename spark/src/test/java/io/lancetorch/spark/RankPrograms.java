package io.lancetorch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Programs of lancetorch's, which know nothing of Spark. */
final class RankPrograms {
    private static final Path ROOT = Path.of(System.getProperty("lancetorch.root"));

    private RankPrograms() {}

    /** The trainer's. */
    static String classPath() {
        try {
            return ROOT.resolve("examples/target/classes")
                    + File.pathSeparator
                    + Files.readString(ROOT.resolve("examples/target/classpath"))
                            .strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Runs a main class of the trainer's or of the tests to its end, and returns what it printed. */
    static String run(String main, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                "-classpath",
                String.join(
                        File.pathSeparator,
                        classPath(),
                        ROOT.resolve("spark/target/classes").toString(),
                        ROOT.resolve("spark/target/test-classes").toString()),
                main));
        command.addAll(List.of(arguments));
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeAll(List.of("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"));
        builder.environment().put("OMP_NUM_THREADS", "1");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }
}
