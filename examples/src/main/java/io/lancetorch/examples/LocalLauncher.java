package io.lancetorch.examples;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Starts ranks as processes of this machine with torchrun's variables, and waits for them. When one fails, the others are
 * ended, and its exit status is the launcher's. When the launcher is ended, so are they.
 */
final class LocalLauncher {
    private static final long GRACE_SECONDS = 5;

    private final List<Process> ranks = new ArrayList<>();

    /** Runs {@code command} as each of {@code processes} ranks; returns 0, or the status of the rank that failed first. */
    int run(int processes, List<String> command) throws IOException, InterruptedException {
        String port = Integer.toString(freePort());
        Thread hook = new Thread(this::end, "lancetorch-launch-end");
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            for (int rank = 0; rank < processes; rank++) {
                ranks.add(start(rank, processes, port, command));
            }
            return await();
        } finally {
            end();
            try {
                Runtime.getRuntime().removeShutdownHook(hook);
            } catch (IllegalStateException e) {
                // The JVM is ending, and the hook runs already.
            }
        }
    }

    private static int freePort() throws IOException {
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private static Process start(int rank, int processes, String port, List<String> command) throws IOException {
        var builder = new ProcessBuilder(command).inheritIO();
        Map<String, String> environment = builder.environment();
        environment.put("RANK", Integer.toString(rank));
        environment.put("LOCAL_RANK", Integer.toString(rank));
        environment.put("WORLD_SIZE", Integer.toString(processes));
        environment.put("LOCAL_WORLD_SIZE", Integer.toString(processes));
        environment.put("GROUP_RANK", "0");
        environment.put("MASTER_ADDR", "127.0.0.1");
        environment.put("MASTER_PORT", port);
        environment.putIfAbsent("GLOO_SOCKET_HOST", "127.0.0.1");
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
        CompletableFuture<?>[] exits = new CompletableFuture<?>[ranks.size()];
        var failed = new CompletableFuture<Integer>();
        for (int i = 0; i < exits.length; i++) {
            int rank = i;
            exits[i] = ranks.get(i).onExit().thenAccept(process -> {
                if (process.exitValue() != 0) {
                    failed.complete(rank);
                }
            });
        }
        CompletableFuture.anyOf(CompletableFuture.allOf(exits), failed).join();
        if (!failed.isDone()) {
            return 0;
        }
        int rank = failed.join();
        int status = ranks.get(rank).exitValue();
        System.err.println("lancetorch: rank " + rank + " ended with status " + status
                + (status > 128 ? " (signal " + (status - 128) + ")" : "")
                + (ranks.size() > 1 ? "; ending the other ranks" : ""));
        return status;
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
