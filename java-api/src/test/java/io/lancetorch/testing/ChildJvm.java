package io.lancetorch.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A process of its own for a program that must not harm this one, under a limit of the shell's. */
public final class ChildJvm {
    private ChildJvm() {}

    /**
     * Runs the main class after {@code limit}, such as {@code ulimit -v 1000}, and returns what it prints, line by line. It must end
     * with 0. The test is skipped where there is no bash.
     */
    public static List<String> run(String limit, Class<?> main, Object... arguments)
            throws IOException, InterruptedException {
        Process process = start(limit, main, arguments);
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output.lines().toList();
    }

    /** As {@link #run}, but goes on while the child runs; both of its outputs are one. */
    public static Process start(String limit, Class<?> main, Object... arguments) throws IOException {
        assumeTrue(Files.isExecutable(Path.of("/bin/bash")), "skipped: no /bin/bash, which sets the limit");
        List<String> command = new ArrayList<>(List.of(
                "/bin/bash",
                "-c",
                limit + " && exec \"$@\"",
                "bash",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-XX:ReservedCodeCacheSize=48m",
                "-XX:CompressedClassSpaceSize=48m",
                "-Xmx64m",
                "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                "-Dlancetorch.libtorch=" + System.getProperty("lancetorch.libtorch", ""),
                "-cp",
                System.getProperty("java.class.path"),
                main.getName()));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("MALLOC_ARENA_MAX", "2");
        builder.environment().put("OMP_NUM_THREADS", "1");
        return builder.start();
    }
}
