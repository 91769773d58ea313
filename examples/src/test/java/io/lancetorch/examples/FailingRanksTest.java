package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.distributed.ErrorFile;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.examples.CommandLineRun.Result;
import java.io.BufferedReader;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a user sees when a rank fails under our launcher, and under torchrun. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class FailingRanksTest {
    @TempDir
    private Path folder;

    /** Meets the other ranks again and again; one of them may throw. */
    static final class Rank {
        private Rank() {}

        public static void main(String[] arguments) {
            int throwing = Integer.parseInt(arguments[0]);
            try (var group = ProcessGroup.fromEnvironment(RankEnvironment.read(), Duration.ofSeconds(60))) {
                try {
                    for (int step = 0; step < 10_000; step++) {
                        group.step(step);
                        if (step == 3 && group.rank() == throwing) {
                            throw new IllegalStateException("out of cheese");
                        }
                        group.barrier();
                        if (step == 3) {
                            System.out.println("process " + group.rank() + " "
                                    + ProcessHandle.current().pid());
                        }
                        Thread.sleep(10);
                    }
                } catch (Exception e) {
                    group.fail(e);
                    throw e;
                }
            } catch (Exception e) {
                ErrorFile.write(e);
                System.err.println(e.getMessage());
                System.exit(1);
            }
        }
    }

    private static List<String> java(String main, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                "-classpath",
                System.getProperty("java.class.path"),
                main));
        command.addAll(List.of(arguments));
        return command;
    }

    private static List<String> launch(int ranks, List<String> rank, String... options) {
        List<String> command = java("io.lancetorch.examples.Main", "launch", "--nproc-per-node=" + ranks);
        command.addAll(List.of(options));
        command.add("--");
        command.addAll(rank);
        return command;
    }

    private static List<String> rank(int throwing) {
        return java(Rank.class.getName(), Integer.toString(throwing));
    }

    @Test
    void whatARankThrowsIsWhatTheLauncherSays() throws Exception {
        Result result = CommandLineRun.run(Map.of(), launch(3, rank(1)));
        assertThat(result.status()).isEqualTo(1);
        assertThat(result.output())
                .contains(
                        "lancetorch: rank 1 of 3 failed with status 1: java.lang.IllegalStateException: out of cheese")
                .containsPattern(
                        "barrier #\\d \\(step 3\\) on rank 0 of 3: rank 1 failed: java.lang.IllegalStateException: out")
                .containsPattern("barrier #\\d \\(step 3\\) on rank 2 of 3: rank 1 failed: java.lang.Illegal");
    }

    @Test
    void torchrunSaysItTooAsTheFirstCause() throws Exception {
        List<String> command = new ArrayList<>(TorchPython.torchrun(2));
        command.addAll(rank(1));
        Result result = CommandLineRun.run(Map.of("GLOO_SOCKET_HOST", "127.0.0.1"), command);
        assertThat(result.status()).as(result.output()).isEqualTo(1);
        assertThat(result.output()).contains("Root Cause (first observed failure)", "error.json");
        assertThat(result.output().substring(result.output().indexOf("FAILED")))
                .contains("traceback : java.lang.IllegalStateException: out of cheese", "FailingRanksTest$Rank.main");
    }

    /** The launcher's process, and its ranks' once they train. */
    private record Running(Process launcher, StringBuffer output, long[] ranks) {
        static Running start(int ranks, String... options) throws Exception {
            var builder = new ProcessBuilder(launch(ranks, rank(-1), options)).redirectErrorStream(true);
            builder.environment().keySet().removeAll(List.of("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"));
            Process launcher = builder.start();
            var output = new StringBuffer();
            BufferedReader reader = launcher.inputReader();
            long[] found = new long[ranks];
            for (int seen = 0; seen < ranks; ) {
                String line = reader.readLine();
                assertThat(line).as("%s", output).isNotNull();
                output.append(line).append('\n');
                if (line.startsWith("process ")) {
                    String[] words = line.split(" ");
                    found[Integer.parseInt(words[1])] = Long.parseLong(words[2]);
                    seen++;
                }
            }
            Thread.ofPlatform().daemon().start(() -> reader.lines()
                    .forEach(line -> output.append(line).append('\n')));
            return new Running(launcher, output, found);
        }

        void awaitEnd() throws InterruptedException {
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
            for (long pid : ranks) {
                while (ProcessHandle.of(pid).isPresent()) {
                    assertThat(System.nanoTime())
                            .as("rank with pid %d lives", pid)
                            .isLessThan(deadline);
                    Thread.sleep(20);
                }
            }
            assertThat(launcher.waitFor(10, TimeUnit.SECONDS)).isTrue();
        }
    }

    private static void signal(long pid, String name) throws Exception {
        assertThat(new ProcessBuilder("kill", "-" + name, "" + pid).start().waitFor())
                .isZero();
    }

    @Test
    void rankThatIsKilledIsNamedWithItsSignal() throws Exception {
        Running running = Running.start(3);
        signal(running.ranks[2], "KILL");
        running.awaitEnd();
        assertThat(running.launcher.exitValue()).isEqualTo(128 + 9);
        Thread.sleep(100);
        assertThat(running.output)
                .contains("lancetorch: rank 2 of 3 was ended by signal 9", "on rank 0 of 3: rank 2 is gone");
    }

    @Test
    void ranksEndWithTheirLauncherHoweverItEnds() throws Exception {
        for (String name : List.of("KILL", "INT", "TERM")) {
            Running running = Running.start(2, "--max-restarts=2");
            signal(running.launcher.pid(), name);
            running.awaitEnd();
            assertThat(running.launcher.exitValue())
                    .as(name)
                    .isEqualTo(128 + Map.of("KILL", 9, "INT", 2, "TERM", 15).get(name));
        }
    }

    @Test
    void errorFilesAreGoneAfterwards() throws Exception {
        Result result =
                CommandLineRun.run(Map.of("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=" + folder), launch(2, rank(0)));
        assertThat(result.status()).isEqualTo(1);
        try (var left = Files.list(folder)) {
            assertThat(left.map(Path::toFile).map(File::getName))
                    .noneMatch(name -> name.startsWith("lancetorch-launch"));
        }
    }

    @Test
    void ranksThatWereStartedDifferentlySaySo() throws Exception {
        String dataset = CommandLineRun.createDataset(folder, 40, 20);
        List<String> train = java("io.lancetorch.examples.Main", "train", dataset, "--batch-size", "8", "--seed");
        String script = "exec '" + String.join("' '", train) + "' $RANK";
        Result result = CommandLineRun.run(Map.of(), launch(2, List.of("sh", "-c", script)));
        assertThat(result.status()).isEqualTo(1);
        assertThat(result.output())
                .contains(
                        "lancetorch: rank 0: the ranks do not agree: --seed is \"1\" on rank 1 and \"0\" on rank 0",
                        "lancetorch: rank 1: the ranks do not agree: --seed is \"1\" on rank 1 and \"0\" on rank 0");
    }
}
