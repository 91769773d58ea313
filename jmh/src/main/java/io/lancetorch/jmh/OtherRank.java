package io.lancetorch.jmh;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A rank beside the thread that measures. */
final class OtherRank {
    private final ExecutorService thread = Executors.newSingleThreadExecutor();

    <T> Future<T> start(Callable<T> work) {
        return thread.submit(work);
    }

    static <T> T join(Future<T> work) {
        try {
            return work.get(60, TimeUnit.SECONDS);
        } catch (InterruptedException | ExecutionException | TimeoutException e) {
            throw new IllegalStateException("the other rank failed", e);
        }
    }

    void close() {
        thread.shutdownNow();
    }
}
