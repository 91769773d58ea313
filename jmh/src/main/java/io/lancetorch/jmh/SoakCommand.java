package io.lancetorch.jmh;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Runs {@link Soak} in a JVM with the bench's flags. */
@Command(
        name = "soak",
        description = "Reads very many batches, and says what each costs the Java heap and whether memory grows.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class SoakCommand implements Callable<Integer> {
    private static final int DEFAULT_BATCH_SIZE = 4;
    // So that neither the heap's first use nor a late compilation, which may take 20 MB, is taken for growth.
    private static final List<String> SETTLED_EARLY =
            List.of("-Xms128m", "-Xmx128m", "-XX:+AlwaysPreTouch", "-XX:CompileThresholdScaling=0.1");

    @Spec
    private CommandSpec spec;

    @Mixin
    private InputOptions inputs;

    @Option(names = "--batches", paramLabel = "N", description = "how many (default: ${DEFAULT-VALUE})")
    private long batches = 100_000;

    @Override
    public Integer call() throws IOException, InterruptedException, Unavailable {
        inputs.check();
        if (batches < 10) {
            throw new ParameterException(spec.commandLine(), "--batches " + batches + ": 10 or more");
        }
        Settings settings = inputs.settings(false, DEFAULT_BATCH_SIZE);
        System.out.println(inputs.makeImages(settings));
        List<String> arguments = List.of(
                String.valueOf(batches),
                String.valueOf(settings.imageSize()),
                String.valueOf(settings.batchSize()),
                String.valueOf(settings.threads()));
        List<String> command = new Lab(settings, false)
                .javaCommand(JmhRun.ClassPath.OURS, SETTLED_EARLY, Soak.class.getName(), arguments);
        return new ProcessBuilder(command).inheritIO().start().waitFor();
    }
}
