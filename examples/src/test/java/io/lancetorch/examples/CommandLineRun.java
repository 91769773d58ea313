package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Runs the commands as a user's shell would, in a JVM of their own. */
final class CommandLineRun {
    private CommandLineRun() {}

    record Result(int status, String output) {}

    /** The command that runs a command of ours. */
    static List<String> command(String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-Djava.awt.headless=true",
                "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                "-classpath",
                System.getProperty("java.class.path"),
                "io.lancetorch.examples.Main"));
        command.addAll(List.of(arguments));
        return command;
    }

    static Result run(Map<String, String> environment, String... arguments) throws IOException, InterruptedException {
        return run(environment, command(arguments));
    }

    /** Runs any command, without the variables of ranks but those in {@code environment}. */
    static Result run(Map<String, String> environment, List<String> command) throws IOException, InterruptedException {
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeAll(List.of("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"));
        builder.environment().putAll(environment);
        Process process = builder.start();
        var output = new StringBuilder();
        try (BufferedReader reader = process.inputReader()) {
            reader.lines().forEach(line -> output.append(line).append('\n'));
        }
        assertThat(process.waitFor(5, TimeUnit.MINUTES)).isTrue();
        return new Result(process.exitValue(), output.toString());
    }

    static Result run(String... arguments) throws IOException, InterruptedException {
        return run(Map.of(), arguments);
    }

    /** Draws so many images to a dataset in {@code folder}; returns where it is. */
    static String createDataset(Path folder, int images, int fragmentSize) throws IOException, InterruptedException {
        String dataset = folder.resolve("shapes.lance").toString();
        Result result = run("create-dataset", dataset, "--images", "" + images, "--fragment-size", "" + fragmentSize);
        assertThat(result.status()).as(result.output()).isZero();
        return dataset;
    }
}
