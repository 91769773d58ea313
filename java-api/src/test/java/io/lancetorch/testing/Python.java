package io.lancetorch.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** The Python that {@code -Dlancetorch.python} or LANCETORCH_PYTHON names, for tests of what it reads of ours. */
public final class Python {
    private Python() {}

    /** Runs {@code script} and returns what it prints; skips the test where no Python with the modules is named. */
    public static String run(String modules, String script, Object... arguments)
            throws IOException, InterruptedException {
        String python = System.getProperty("lancetorch.python", System.getenv("LANCETORCH_PYTHON"));
        assumeTrue(
                python != null && !python.isEmpty(),
                "skipped: set LANCETORCH_PYTHON to a python with " + modules + " to check that it reads our files");
        List<String> command = new ArrayList<>(List.of(python, "-c", script));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }
}
