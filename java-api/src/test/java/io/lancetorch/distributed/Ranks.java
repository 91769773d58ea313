package io.lancetorch.distributed;

import io.lancetorch.tensor.TensorScope;
import java.io.IOException;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReferenceArray;

/** Ranks as threads of this process, each with a store client, a group and a scope of its own. */
public final class Ranks {
    private Ranks() {}

    @FunctionalInterface
    public interface Body<T> {
        T run(ProcessGroup group) throws Exception;
    }

    static int freePort() throws IOException {
        try (var socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    /** What each rank's body returned or threw, in order of rank. */
    public static List<Object> outcomes(int worldSize, Duration timeout, Body<?> body) throws InterruptedException {
        var outcomes = new AtomicReferenceArray<Object>(worldSize);
        try (Store server = Store.tcp("127.0.0.1", 0, true, worldSize, timeout)) {
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < worldSize; i++) {
                int rank = i;
                threads.add(Thread.ofPlatform().name("rank-" + rank).start(() -> {
                    try (Store store = Store.tcp("127.0.0.1", server.port(), false, worldSize, timeout);
                            var group = ProcessGroup.gloo(store, rank, worldSize, "127.0.0.1", timeout);
                            var _ = new TensorScope()) {
                        outcomes.set(rank, body.run(group));
                    } catch (Throwable e) {
                        outcomes.set(rank, e);
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
        }
        List<Object> result = new ArrayList<>();
        for (int rank = 0; rank < worldSize; rank++) {
            result.add(outcomes.get(rank));
        }
        return result;
    }

    /** As {@link #outcomes}, where no rank may throw. */
    public static <T> List<T> run(int worldSize, Class<T> type, Body<T> body) throws InterruptedException {
        List<T> results = new ArrayList<>();
        for (Object outcome : outcomes(worldSize, Duration.ofSeconds(30), body)) {
            if (outcome instanceof Throwable thrown) {
                throw new AssertionError("a rank failed", thrown);
            }
            results.add(type.cast(outcome));
        }
        return results;
    }
}
