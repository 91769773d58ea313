package io.lancetorch.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
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
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Programs that are Go modules, of a fixed version, built once into lancetorch's cache folder and run there. Tests that need
 * one are skipped where no Go is installed.
 */
final class GoProgram {
    private static final long BUILD_MINUTES = 15;

    private GoProgram() {}

    /** The program that the package {@code path} of a module at {@code version} makes, in a file {@code name}. */
    static Path build(String name, String path, String version) throws IOException, InterruptedException {
        Path folder = cache().resolve("test-programs");
        Path program = folder.resolve(name + "-" + version);
        if (Files.isExecutable(program)) {
            return program;
        }
        Path go = go();
        assumeTrue(go != null, "skipped: no go on PATH or in /usr/local/go, to build " + name + " for this test");
        Files.createDirectories(folder);
        // Of several JVMs one builds, and the others wait.
        try (FileChannel channel =
                        FileChannel.open(folder.resolve(".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock _ = channel.lock()) {
            if (!Files.isExecutable(program)) {
                System.err.printf("building %s %s, once; this takes some minutes%n", name, version);
                install(go, path + "@" + version, program);
            }
        }
        return program;
    }

    private static void install(Path go, String target, Path program) throws IOException, InterruptedException {
        Path made = Files.createTempDirectory(program.getParent(), "go-");
        Path log = made.resolve("log");
        var builder = new ProcessBuilder(go.toString(), "install", "-trimpath", "-ldflags=-s -w", target);
        builder.environment().putAll(Map.of("GOBIN", made.toString(), "CGO_ENABLED", "0"));
        Process process =
                builder.redirectErrorStream(true).redirectOutput(log.toFile()).start();
        boolean ended = process.waitFor(BUILD_MINUTES, TimeUnit.MINUTES);
        process.destroyForcibly();
        assertThat(ended && process.exitValue() == 0)
                .as("go install " + target + ": " + Files.readString(log))
                .isTrue();
        Files.delete(log);
        try (Stream<Path> files = Files.list(made)) {
            Files.move(files.findFirst().orElseThrow(), program, StandardCopyOption.ATOMIC_MOVE);
        }
        Files.delete(made);
    }

    private static Path cache() {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path root =
                cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
        return root.resolve("lancetorch");
    }

    private static Path go() {
        String path = System.getenv("PATH") + File.pathSeparator + "/usr/local/go/bin";
        return Arrays.stream(path.split(File.pathSeparator))
                .map(folder -> Path.of(folder, "go"))
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
    }

    /** Runs a program, which ends with this JVM, however that ends. What it prints goes to {@code log}. */
    static Process start(Path log, Path workingDirectory, List<String> command) throws IOException {
        // The shell's input is a pipe of this JVM's: it ends with the JVM, also with one that is killed.
        List<String> guarded =
                new ArrayList<>(List.of("sh", "-c", "\"$@\" & child=$!; cat >/dev/null; kill -9 $child", "sh"));
        guarded.addAll(command);
        var builder = new ProcessBuilder(guarded)
                .directory(workingDirectory.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile());
        // Of a user's settings for these programs none shall count.
        builder.environment().put("HOME", workingDirectory.toString());
        return builder.start();
    }

    /** A port of this machine's that nobody listens on now. */
    static int freePort() throws IOException {
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    /** Ends what {@link #start} has started. */
    static void stop(Process process) throws IOException {
        process.getOutputStream().close();
        try {
            if (process.waitFor(10, TimeUnit.SECONDS)) {
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }
}
