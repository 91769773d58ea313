package io.lancetorch.distributed;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.DeadlineException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/**
 * The part of the store of torchrun's agent that one start of the ranks has for itself. The store outlives the ranks, and no
 * variable tells one start from another: each agent counts the restarts of its own machine alone, and one that starts its ranks
 * anew since others have failed does not count that. So rank 0 opens a part by a number that no start had before, and writes in
 * it which ranks it has met there; another rank takes the latest part that names it.
 */
final class AgentStore {
    private static final String STARTS = "lancetorch/starts";
    private static final String MET = "met";
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Duration PAUSE = Duration.ofMillis(10);

    private AgentStore() {}

    /**
     * All ranks of a start call it. The caller closes what it returns, and {@code store}.
     *
     * @throws DeadlineException where ranks do not come in time, naming them on rank 0
     */
    static Store part(Store store, int rank, int worldSize, Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        return rank == 0 ? open(store, worldSize, deadline, timeout) : find(store, rank, worldSize, deadline, timeout);
    }

    private static Store open(Store store, int worldSize, long deadline, Duration timeout) {
        Store part = numbered(store, store.add(STARTS, 1));
        try {
            List<String> met = new ArrayList<>();
            List<Integer> missing = new ArrayList<>();
            for (int rank = 1; rank < worldSize; rank++) {
                try {
                    Duration left = Duration.ofNanos(Math.max(1, deadline - System.nanoTime()));
                    met.add(new String(part.get(key(rank), left), StandardCharsets.UTF_8));
                } catch (DeadlineException e) {
                    missing.add(rank);
                }
            }
            if (!missing.isEmpty()) {
                throw new DeadlineException(
                        "rank 0 of " + worldSize + ": ranks " + missing + " have not come within " + timeout.toMillis()
                                + " ms",
                        null,
                        missing,
                        null);
            }
            part.set(MET, String.join(",", met).getBytes(StandardCharsets.UTF_8));
            return part;
        } catch (RuntimeException e) {
            part.close();
            throw e;
        }
    }

    private static Store find(Store store, int rank, int worldSize, long deadline, Duration timeout) {
        // By which a part that an earlier process of this rank has come to is told from this one's.
        String name = UUID.randomUUID().toString();
        Store part = null;
        try {
            for (long known = 0; ; ) {
                long latest = store.add(STARTS, 0);
                if (latest != known) {
                    close(part);
                    part = numbered(store, latest);
                    part.set(key(rank), name.getBytes(StandardCharsets.UTF_8));
                    known = latest;
                }
                if (part != null && isMet(part, name)) {
                    return part;
                }
                if (System.nanoTime() - deadline >= 0) {
                    throw new DeadlineException("rank " + rank + " of " + worldSize
                            + ": rank 0 or another rank has not come within " + timeout.toMillis() + " ms");
                }
                Thread.sleep(PAUSE);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            close(part);
            throw new CancelledException(
                    "rank " + rank + " of " + worldSize + ": interrupted while waiting for the other ranks", e);
        } catch (RuntimeException e) {
            close(part);
            throw e;
        }
    }

    private static boolean isMet(Store part, String name) {
        try {
            return new String(part.get(MET, POLL), StandardCharsets.UTF_8).contains(name);
        } catch (DeadlineException e) {
            return false;
        }
    }

    private static void close(Store part) {
        if (part != null) {
            part.close();
        }
    }

    private static Store numbered(Store store, long start) {
        return store.withPrefix("lancetorch/start-" + start);
    }

    private static String key(int rank) {
        return "rank-" + rank;
    }
}
