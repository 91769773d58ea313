package io.lancetorch.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.apache.spark.TaskKilledException;

/** The JVM of one rank, or of another function, as a child of the executor that its task runs in. */
final class RankChild implements AutoCloseable {
    private static final long GRACE_SECONDS = 5;
    private static final long POLL_MILLIS = 100;
    private static final long BLAME_SECONDS = 10;
    private static final List<String> CONSEQUENCES =
            List.of("io.lancetorch.error.PeerFailedException", "io.lancetorch.error.DeadlineException");

    private final Process process;
    private final Path folder;
    private final RankLines lines;
    private final Thread reader;

    /** {@code environment}: what is set beside the executor's own; null values are taken away. */
    RankChild(RankSettings settings, Map<String, String> environment, byte[] function, RankLines lines)
            throws IOException {
        this.lines = lines;
        List<String> command = new ArrayList<>();
        command.add(settings.java().toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("-XX:+UseSerialGC");
        command.add("-XX:-UsePerfData");
        command.add("-Djava.awt.headless=true");
        command.addAll(settings.javaOptions());
        command.add("-classpath");
        command.add(String.join(File.pathSeparator, classPath(settings)));
        command.add(RankProcess.class.getName());
        folder = Files.createTempDirectory("lancetorch-rank-");
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        environment.forEach((name, value) -> {
            if (value == null) {
                builder.environment().remove(name);
            } else {
                builder.environment().put(name, value);
            }
        });
        builder.environment().put("TORCHELASTIC_ERROR_FILE", errorFile().toString());
        try {
            process = builder.start();
        } catch (IOException e) {
            delete(folder);
            throw e;
        }
        BufferedReader output = process.inputReader();
        reader = new Thread(() -> output.lines().forEach(lines::add), "lancetorch-rank-output");
        reader.setDaemon(true);
        reader.start();
        try {
            RankProcess.tell(process.getOutputStream(), function, outcomeFile());
        } catch (IOException e) {
            // It has ended already, and its lines tell why.
        }
    }

    private Path errorFile() {
        return folder.resolve("error.json");
    }

    private Path outcomeFile() {
        return folder.resolve("outcome");
    }

    /**
     * What the settings name, the user's jars as Spark brought them to this executor, and what the executor runs with: a
     * function's class may know Spark's.
     */
    private static Set<String> classPath(RankSettings settings) {
        Set<String> path = new LinkedHashSet<>(settings.classPath());
        for (ClassLoader loader = Thread.currentThread().getContextClassLoader();
                loader != null;
                loader = loader.getParent()) {
            if (loader instanceof URLClassLoader user) {
                for (URL url : user.getURLs()) {
                    if (url.getProtocol().equals("file")) {
                        path.add(file(url));
                    }
                }
            }
        }
        path.addAll(List.of(System.getProperty("java.class.path").split(File.pathSeparator)));
        path.remove("");
        return path;
    }

    private static String file(URL url) {
        try {
            return Path.of(new URI(url.toString())).toString();
        } catch (URISyntaxException e) {
            return url.getPath();
        }
    }

    /**
     * Waits for its end, and returns the bytes of what its function returned.
     *
     * @param name for the exception: which rank it is, and where
     * @param isProgram it may end by itself, with null as its result
     * @throws TaskKilledException as soon as {@code isKilled} says so
     */
    byte[] await(String name, boolean isProgram, BooleanSupplier isKilled)
            throws IOException, InterruptedException, ClassNotFoundException {
        while (!process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
            throwIfKilled(isKilled);
        }
        reader.join(TimeUnit.SECONDS.toMillis(GRACE_SECONDS));
        int status = process.exitValue();
        RankProcess.Outcome outcome = RankProcess.outcome(outcomeFile());
        byte[] result = outcome == null ? null : outcome.result();
        if (status == 0 && (result != null || isProgram)) {
            return result == null ? Serialization.write(null) : result;
        }
        String failure = failure(outcome);
        if (failure != null && CONSEQUENCES.stream().anyMatch(failure::startsWith)) {
            // Another rank failed before this one, and Spark tells the reason of the task that fails first.
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(BLAME_SECONDS);
            while (System.nanoTime() < deadline) {
                throwIfKilled(isKilled);
                Thread.sleep(POLL_MILLIS);
            }
        }
        throw new RankFailedException(name
                + (status == 0
                        ? " ended before its function returned"
                        : status > 128 ? " was ended by signal " + (status - 128) : " failed with status " + status)
                + (failure == null ? "" : ": " + failure)
                + "\nIts last lines:\n" + lines.last());
    }

    private static void throwIfKilled(BooleanSupplier isKilled) {
        if (isKilled.getAsBoolean()) {
            throw new TaskKilledException("killed by Spark");
        }
    }

    /** What the rank itself says of its failure; null where it said nothing. */
    private String failure(RankProcess.Outcome outcome) throws IOException {
        if (outcome != null && outcome.failure() != null) {
            return outcome.failure();
        }
        if (!Files.exists(errorFile())) {
            return null;
        }
        JsonNode message = new ObjectMapper().readTree(errorFile().toFile()).path("message");
        return message.isTextual() ? message.asText() : message.path("message").asText(null);
    }

    /** Ends it, and what it has started. */
    @Override
    public void close() {
        List<ProcessHandle> alive = new ArrayList<>(process.descendants().toList());
        alive.add(process.toHandle());
        alive.removeIf(handle -> !handle.isAlive());
        alive.forEach(ProcessHandle::destroy);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(GRACE_SECONDS);
        for (ProcessHandle handle : alive) {
            try {
                handle.onExit().get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (Exception e) {
                handle.destroyForcibly();
            }
        }
        lines.close();
        try {
            delete(folder);
        } catch (IOException e) {
            lines.add("cannot delete " + folder + ": " + e);
        }
    }

    private static void delete(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.list(folder)) {
            files = found.toList();
        }
        for (Path file : files) {
            Files.delete(file);
        }
        Files.delete(folder);
    }
}
