package io.lancetorch.jmh;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Rank 1, on a thread beside the one that measures, which is rank 0. */
final class OtherRank {
    private final ExecutorService thread = Executors.newSingleThreadExecutor();

    /** What a rank does. */
    interface Work {
        void run(int rank);
    }

    /** Lets both ranks do it at the same time, and waits for both. */
    void both(Work work) {
        Future<?> joined = thread.submit(() -> work.run(1));
        try {
            work.run(0);
            joined.get(60, TimeUnit.SECONDS);
        } catch (InterruptedException | ExecutionException | TimeoutException e) {
            throw new IllegalStateException("the other rank failed", e);
        }
    }

    void close() {
        thread.shutdownNow();
    }
}
