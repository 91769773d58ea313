package io.lancetorch.examples;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.PeerFailedException;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Starts ranks as processes of this machine with torchrun's variables, and waits for them. When one fails, the others have a
 * moment to say what they know of it, and are ended; the status of the rank that failed first is the launcher's. When the
 * launcher is ended, so are they, also where it is killed. Before that, all may be started anew, by torchrun's variables
 * TORCHELASTIC_RESTART_COUNT and TORCHELASTIC_MAX_RESTARTS. Launchers of several machines know each other's ranks by their
 * {@link Node}; each starts its own anew, since a rank that fails makes those of all machines fail.
 */
final class LocalLauncher {
    private static final long GRACE_SECONDS = 5;

    private final int maxRestarts;
    private final Node node;
    private final List<Process> ranks = new ArrayList<>();
    private Path errorFiles;
    private boolean ending;

    /** {@code maxRestarts}: how often all ranks are started anew when one has failed. */
    LocalLauncher(int maxRestarts) {
        this(maxRestarts, Node.ALONE);
    }

    LocalLauncher(int maxRestarts, Node node) {
        this.maxRestarts = maxRestarts;
        this.node = node;
    }

    /**
     * Runs {@code command} as each of {@code processes} ranks; returns 0, or the status of the rank that failed first, after the
     * last restart.
     */
    int run(int processes, List<String> command) throws IOException, InterruptedException {
        requireCommand(command.getFirst());
        errorFiles = Files.createTempDirectory("lancetorch-launch-");
        Thread hook = new Thread(this::shutDown, "lancetorch-launch-end");
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            for (int restart = 0; ; restart++) {
                startAll(processes, restart, command);
                int status = await();
                if (status == 0 || restart == maxRestarts || isEnding()) {
                    return status;
                }
                end();
                System.err.println(
                        "lancetorch: starting all ranks anew, restart " + (restart + 1) + " of " + maxRestarts);
            }
        } finally {
            clean();
            try {
                Runtime.getRuntime().removeShutdownHook(hook);
            } catch (IllegalStateException e) {
                // The JVM is ending, and the hook runs already.
            }
        }
    }

    private synchronized void startAll(int processes, int restart, List<String> command) throws IOException {
        deleteErrorFiles();
        ranks.clear();
        // Another one each time: a rank of before may not have ended yet on another machine.
        String port = Integer.toString(node.isAlone() ? freePort() : node.masterPort() + restart);
        for (int rank = 0; rank < processes && !ending; rank++) {
            ranks.add(start(rank, processes, port, restart, command));
        }
    }

    private synchronized boolean isEnding() {
        return ending;
    }

    /** Ends the ranks, such that none is started anew. */
    private synchronized void shutDown() {
        ending = true;
        clean();
    }

    private static int freePort() throws IOException {
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    /** The program that {@code name} names; null where there is none. */
    private static Path find(String name) {
        String path = System.getenv("PATH");
        Stream<Path> candidates = name.contains("/") || path == null
                ? Stream.of(Path.of(name))
                : Pattern.compile(File.pathSeparator).splitAsStream(path).map(folder -> Path.of(folder, name));
        return candidates.filter(Files::isExecutable).findFirst().orElse(null);
    }

    private static void requireCommand(String name) {
        if (find(name) == null) {
            throw new UserException("cannot start " + name + ": there is no such program");
        }
    }

    private Path errorFile(int rank) {
        return errorFiles.resolve("rank-" + rank + ".json");
    }

    private void clean() {
        end();
        try {
            deleteErrorFiles();
            Files.deleteIfExists(errorFiles);
        } catch (IOException e) {
            System.err.println("lancetorch: cannot delete " + errorFiles + ": " + e);
        }
    }

    private void deleteErrorFiles() throws IOException {
        for (int rank = 0; rank < ranks.size(); rank++) {
            Files.deleteIfExists(errorFile(rank));
        }
    }

    private Process start(int localRank, int processes, String port, int restart, List<String> command)
            throws IOException {
        List<String> started = new ArrayList<>();
        Path setpriv = find("setpriv");
        if (setpriv != null) {
            // The kernel kills the rank when this process is gone, which nobody could do when it is killed itself.
            started.addAll(List.of(setpriv.toString(), "--pdeathsig", "KILL", "--"));
        }
        started.addAll(command);
        var builder = new ProcessBuilder(started).inheritIO();
        Map<String, String> environment = builder.environment();
        environment.put("RANK", Integer.toString(node.rank() * processes + localRank));
        environment.put("LOCAL_RANK", Integer.toString(localRank));
        environment.put("WORLD_SIZE", Integer.toString(node.nodes() * processes));
        environment.put("LOCAL_WORLD_SIZE", Integer.toString(processes));
        environment.put("GROUP_RANK", Integer.toString(node.rank()));
        environment.put("GROUP_WORLD_SIZE", Integer.toString(node.nodes()));
        environment.put("MASTER_ADDR", node.masterAddress());
        environment.put("MASTER_PORT", port);
        if (node.isAlone()) {
            environment.putIfAbsent("GLOO_SOCKET_HOST", "127.0.0.1");
        }
        environment.put("TORCHELASTIC_RESTART_COUNT", Integer.toString(restart));
        environment.put("TORCHELASTIC_MAX_RESTARTS", Integer.toString(maxRestarts));
        environment.put("TORCHELASTIC_ERROR_FILE", errorFile(localRank).toString());
        environment.putIfAbsent(
                "OMP_NUM_THREADS",
                Integer.toString(Math.max(1, Runtime.getRuntime().availableProcessors() / processes)));
        try {
            return builder.start();
        } catch (IOException e) {
            throw new UserException("cannot start " + command.getFirst() + ": " + e.getMessage());
        }
    }

    private int await() throws InterruptedException {
        BlockingQueue<Integer> ended = new LinkedBlockingQueue<>();
        for (int i = 0; i < ranks.size(); i++) {
            int rank = i;
            ranks.get(i).onExit().thenRun(() -> ended.add(rank));
        }
        List<Integer> failed = new ArrayList<>();
        long deadline = Long.MAX_VALUE;
        for (int running = ranks.size(); running > 0; running--) {
            Integer rank = failed.isEmpty()
                    ? ended.take()
                    : ended.poll(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            if (rank == null) {
                break;
            }
            if (ranks.get(rank).exitValue() != 0) {
                if (failed.isEmpty()) {
                    deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(GRACE_SECONDS);
                }
                failed.add(rank);
            }
        }
        if (failed.isEmpty()) {
            return 0;
        }
        int rank = failed.stream()
                .filter(other -> !isConsequence(message(other)))
                .findFirst()
                .orElse(failed.getFirst());
        int status = ranks.get(rank).exitValue();
        String message = message(rank);
        System.err.println(
                "lancetorch: rank " + (node.rank() * ranks.size() + rank) + " of " + node.nodes() * ranks.size()
                        + (status > 128 ? " was ended by signal " + (status - 128) : " failed with status " + status)
                        + (message == null ? "" : ": " + message));
        return status;
    }

    /** What the rank has written to its error file; null where it has written none. */
    private String message(int rank) {
        try {
            var message = new ObjectMapper().readTree(errorFile(rank).toFile()).get("message");
            return message.isTextual()
                    ? message.asText()
                    : message.get("message").asText();
        } catch (IOException | NullPointerException e) {
            return null; // it ended without a word, or is no program of ours
        }
    }

    /** Whether a rank with this message failed since another one did: that one may end later. */
    private static boolean isConsequence(String message) {
        return message != null
                && (message.startsWith(PeerFailedException.class.getName())
                        || message.startsWith(DeadlineException.class.getName()));
    }

    /** Asks all ranks and what they have started to end, and makes those that do not. */
    private void end() {
        List<ProcessHandle> alive = new ArrayList<>();
        for (Process rank : ranks) {
            rank.descendants().forEach(alive::add);
            alive.add(rank.toHandle());
        }
        alive.removeIf(process -> !process.isAlive());
        alive.forEach(ProcessHandle::destroy);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(GRACE_SECONDS);
        for (ProcessHandle process : alive) {
            try {
                process.onExit().get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (Exception e) {
                process.destroyForcibly();
            }
        }
    }
}
