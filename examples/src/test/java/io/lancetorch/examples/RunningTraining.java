package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Ranks that train under a launcher, whose rows are logged, and any of which can be killed. */
final class RunningTraining implements AutoCloseable {
    private static final long PATIENCE_NANOS = TimeUnit.MINUTES.toNanos(4);

    private final Process launcher;
    private final Path rows;
    private final StringBuffer output = new StringBuffer();
    private final Thread reader;

    /** {@code rows}: the folder of {@code --log-rows}, which {@code command} names too. */
    RunningTraining(Map<String, String> environment, List<String> command, Path rows) throws IOException {
        this.rows = rows;
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeAll(List.of("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"));
        builder.environment().putAll(environment);
        launcher = builder.start();
        BufferedReader lines = launcher.inputReader();
        reader = Thread.ofPlatform().daemon().start(() -> lines.lines()
                .forEach(line -> output.append(line).append('\n')));
    }

    /** Waits until some rank is at a step of the run; returns false where the run has ended before. */
    boolean awaitStep(long step) throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (RowLogs.read(rows).stream().noneMatch(line -> line.step() >= step)) {
            assertThat(System.nanoTime()).as("%s", output).isLessThan(deadline);
            if (!launcher.isAlive()) {
                return false;
            }
            Thread.sleep(20);
        }
        return true;
    }

    /** Ends a rank by SIGKILL, as soon as it runs. */
    void kill(int rank) throws Exception {
        signal(rank, "KILL");
    }

    /** Sends a signal to a rank, as soon as it runs. */
    void signal(int rank, String name) throws Exception {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (!has(rank)) {
            assertThat(launcher.isAlive()).as("%s", output).isTrue();
            assertThat(System.nanoTime()).as("%s", output).isLessThan(deadline);
            Thread.sleep(20);
        }
        for (ProcessHandle process : processes(rank)) {
            new ProcessBuilder("kill", "-" + name, Long.toString(process.pid()))
                    .start()
                    .waitFor();
        }
    }

    /** Whether this launcher has the rank, where there are several. */
    boolean has(int rank) {
        return !processes(rank).isEmpty();
    }

    private List<ProcessHandle> processes(int rank) {
        return launcher.descendants().filter(process -> isRank(process, rank)).toList();
    }

    static boolean isRank(ProcessHandle process, int rank) {
        try {
            String environment = Files.readString(
                    Path.of("/proc", Long.toString(process.pid()), "environ"),
                    java.nio.charset.StandardCharsets.ISO_8859_1);
            return Arrays.asList(environment.split("\0")).contains("RANK=" + rank);
        } catch (IOException e) {
            return false; // it has ended
        }
    }

    /** A port of this machine that was free a moment ago. */
    static int freePort() throws IOException {
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    Result await() throws InterruptedException {
        assertThat(launcher.waitFor(PATIENCE_NANOS, TimeUnit.NANOSECONDS))
                .as("%s", output)
                .isTrue();
        reader.join();
        return new Result(launcher.exitValue(), output.toString());
    }

    @Override
    public void close() {
        launcher.descendants().forEach(ProcessHandle::destroyForcibly);
        launcher.destroyForcibly();
    }
}
