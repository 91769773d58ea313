package io.lancetorch.tracking.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * MLflow and TensorBoard, of fixed versions, installed once by pip into lancetorch's cache folder. Tests that need them are
 * skipped where there is no Python, or no way to its packages.
 */
public final class TrackingPrograms {
    private static final long INSTALL_MINUTES = 15;
    private static final Path SOURCES =
            Path.of(System.getProperty("lancetorch.root"), "tracking/src/testing/python");

    private TrackingPrograms() {}

    /** The folder of their programs, {@code python} among them. */
    static Path bin() throws IOException, InterruptedException {
        Path folder = cache().resolve("test-programs");
        Path environment = folder.resolve("tracking");
        Path requirements = SOURCES.resolve("requirements.txt");
        Path installed = environment.resolve("installed.txt");
        Files.createDirectories(folder);
        // Of several JVMs one installs, and the others wait.
        try (FileChannel channel = FileChannel.open(
                        folder.resolve(".lock-tracking"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock _ = channel.lock()) {
            if (!Files.exists(installed) || Files.mismatch(installed, requirements) >= 0) {
                System.err.println("installing MLflow and TensorBoard, once; this takes some minutes and 900 MB");
                Path log = folder.resolve("tracking.log");
                Files.deleteIfExists(log);
                run(log, "python3", "-m", "venv", "--clear", environment.toString());
                run(
                        log,
                        environment.resolve("bin/python").toString(),
                        "-m",
                        "pip",
                        "install",
                        "--disable-pip-version-check",
                        "-r",
                        requirements.toString());
                Files.copy(requirements, installed, StandardCopyOption.REPLACE_EXISTING);
            }
        }
        return environment.resolve("bin");
    }

    private static void run(Path log, String... command) throws IOException, InterruptedException {
        int status = -1;
        String reason = "";
        try {
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                    .start();
            boolean ended = process.waitFor(INSTALL_MINUTES, TimeUnit.MINUTES);
            process.destroyForcibly();
            status = ended ? process.exitValue() : -1;
        } catch (IOException e) {
            reason = e.getMessage();
        }
        assumeTrue(
                status == 0,
                "skipped: cannot install MLflow and TensorBoard for this test: " + String.join(" ", command) + ": "
                        + reason + ", see " + log);
    }

    private static Path cache() {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path root =
                cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
        return root.resolve("lancetorch");
    }

    /** What TensorBoard reads of a folder's event files, as JSON. */
    public static String readEvents(Path folder) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        bin().resolve("python").toString(),
                        SOURCES.resolve("read_events.py").toString(),
                        folder.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String json = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new IOException("TensorBoard cannot read " + folder);
        }
        return json;
    }

    /** Starts a program, which ends with this JVM, however that ends. What it prints goes to {@code log}. */
    static Process start(Path log, Map<String, String> environment, List<String> command) throws IOException {
        // The shell's input is a pipe of this JVM's: it ends with the JVM, also with one that is killed.
        List<String> guarded = new ArrayList<>(
                List.of("sh", "-c", "setsid \"$@\" & child=$!; cat >/dev/null; kill -9 -- -$child $child", "sh"));
        guarded.addAll(command);
        var builder = new ProcessBuilder(guarded)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.environment().putAll(environment);
        return builder.start();
    }

    /** Ends what {@link #start} has started, by SIGKILL. */
    static void kill(Process process) throws IOException {
        List<ProcessHandle> all = process.descendants().toList();
        process.getOutputStream().close();
        all.forEach(ProcessHandle::destroyForcibly);
        for (ProcessHandle each : all) {
            each.onExit().join();
        }
        process.onExit().join();
    }

    /** A port of this machine's that nobody listens on now. */
    public static int freePort() throws IOException {
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
