package io.lancetorch.data;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.InternalException;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One epoch on its way: a thread that reads, threads that decode, and a bounded queue in the plan's order. A permit stands
 * for one batch between the reader and the consumer, so the reader rests when {@code prefetch} of them are under way.
 */
final class BatchPipeline implements AutoCloseable {
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final Plan plan;
    private final Scan scan;
    private final BatchAssembler assembler;
    private final int parts;
    private final BlockingQueue<Pending> queue;
    private final Semaphore permits;
    private final ExecutorService decoders;
    private final List<Thread> decoderThreads = new CopyOnWriteArrayList<>();
    private final Thread reader;
    private int taken;
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile boolean closing;

    /** A step's tensors and the tasks that fill them; or what the reader has failed with. */
    private record Pending(RecordBatch records, Map<String, Tensor> tensors, List<Future<?>> tasks, Throwable failure) {
        void discard() {
            // A task that runs writes into the tensors, so none may be freed before all have ended.
            for (Future<?> task : tasks) {
                awaitEnd(task);
            }
            if (records != null) {
                records.close();
            }
            synchronized (tensors) {
                BatchAssembler.close(tensors);
            }
        }
    }

    BatchPipeline(Plan plan, Scan scan, BatchAssembler assembler, int decodeThreads, int prefetch) {
        this.plan = plan;
        this.scan = scan;
        this.assembler = assembler;
        parts = decodeThreads == 1 ? 1 : 4 * decodeThreads;
        queue = new ArrayBlockingQueue<>(prefetch + 1);
        permits = new Semaphore(prefetch);
        int number = COUNTER.incrementAndGet();
        var decoderNumber = new AtomicInteger();
        ThreadFactory factory = task -> {
            Thread thread = daemon(task, "lancetorch-decode-" + number + "-" + decoderNumber.incrementAndGet());
            decoderThreads.add(thread);
            return thread;
        };
        decoders = Executors.newFixedThreadPool(decodeThreads, factory);
        reader = daemon(this::read, "lancetorch-read-" + number);
        reader.start();
    }

    private static Thread daemon(Runnable task, String name) {
        return Thread.ofPlatform().daemon().name(name).unstarted(task);
    }

    private void read() {
        try (scan) {
            for (int step = 0; step < plan.steps(); step++) {
                permits.acquire();
                if (closing) {
                    return;
                }
                RecordBatch records = scan.next();
                if (records == null) {
                    throw new InternalException("the scan ended at step " + step + " of " + plan.steps());
                }
                // There is room, by the permit; and `put` would throw the batch away where close interrupts.
                queue.add(start(step, records));
            }
        } catch (InterruptedException e) {
            // Only close interrupts this thread, and nobody waits for its batches then.
        } catch (Throwable e) {
            queue.add(new Pending(null, Map.of(), List.of(), e));
        }
    }

    private Pending start(int step, RecordBatch records) {
        try {
            BatchAssembler.Started started = assembler.start(step, records, parts);
            List<Future<?>> tasks = new ArrayList<>(started.tasks().size());
            for (Runnable task : started.tasks()) {
                tasks.add(decoders.submit(() -> {
                    if (!closing) {
                        task.run();
                    }
                }));
            }
            return new Pending(records, started.tensors(), tasks, null);
        } catch (RuntimeException | Error e) {
            records.close();
            throw e;
        }
    }

    boolean hasNext() {
        return taken < plan.steps();
    }

    /** Waits for the next step. */
    Batch next() {
        Pending pending;
        try {
            pending = queue.take();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancelledException("interrupted while waiting for step " + taken, e);
        }
        permits.release();
        if (pending.failure() != null) {
            throw rethrown(pending.failure());
        }
        try {
            for (Future<?> task : pending.tasks()) {
                task.get();
            }
        } catch (InterruptedException e) {
            pending.discard();
            Thread.currentThread().interrupt();
            throw new CancelledException("interrupted while waiting for step " + taken, e);
        } catch (ExecutionException e) {
            pending.discard();
            throw rethrown(e.getCause());
        }
        if (closing) {
            pending.discard();
            throw closedWhileWaiting();
        }
        pending.records().close();
        int step = taken++;
        synchronized (pending.tensors()) {
            return new Batch(pending.tensors(), step, plan.rows(step), plan.validRows(step));
        }
    }

    private CancelledException closedWhileWaiting() {
        return new CancelledException("the loader was closed while step " + taken + " was waited for");
    }

    /** The same exception, with the consumer's own trace beside the one of the thread that met it. */
    private static RuntimeException rethrown(Throwable failure) {
        failure.addSuppressed(
                new Throwable("handed to thread " + Thread.currentThread().getName()));
        if (failure instanceof Error error) {
            throw error;
        }
        return failure instanceof RuntimeException e
                ? e
                : new InternalException("the loader failed: " + failure, failure);
    }

    private static void awaitEnd(Future<?> task) {
        boolean interrupted = false;
        while (true) {
            try {
                task.get();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            } catch (ExecutionException e) {
                break;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Ends the threads and frees what nobody took. */
    @Override
    public void close() {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        closing = true;
        scan.cancel();
        reader.interrupt();
        awaitEnd(reader);
        List<Pending> left = new ArrayList<>();
        queue.drainTo(left);
        left.forEach(Pending::discard);
        queue.add(new Pending(null, Map.of(), List.of(), closedWhileWaiting()));
        decoders.shutdown();
        decoderThreads.forEach(BatchPipeline::awaitEnd);
    }

    private static void awaitEnd(Thread thread) {
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
