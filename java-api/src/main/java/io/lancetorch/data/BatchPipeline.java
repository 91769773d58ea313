package io.lancetorch.data;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.InternalException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One epoch on its way: a thread that reads, threads that do the steps' parts, and a ring of slots in the plan's order. Step s
 * is made in slot s modulo their number, once the consumer has let go of the step before in that slot: so the reader rests when
 * enough is ready, and the slots' memory is used again and again.
 */
final class BatchPipeline implements BatchStream {
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final Plan plan;
    private final int steps;
    private final StepSource source;
    private final StepAssembler assembler;
    private final StepSlot[] slots;
    private final List<Thread> threads = new ArrayList<>();

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition room = lock.newCondition();
    private final Condition work = lock.newCondition();
    private final Condition done = lock.newCondition();
    private final ArrayDeque<StepSlot> open;
    private int read;
    private int taken;
    private int released;
    private int ready;
    private boolean closing;
    private boolean closed;
    private long decodeNanos;
    private long bytes;

    /** {@code prefetch}: steps to have ready beside the one in use. */
    BatchPipeline(Plan plan, StepSource source, StepAssembler assembler, int decodeThreads, int prefetch) {
        this.plan = plan;
        steps = plan.steps();
        this.source = source;
        this.assembler = assembler;
        slots = new StepSlot[prefetch + 1];
        for (int i = 0; i < slots.length; i++) {
            slots[i] = assembler.newSlot();
        }
        open = new ArrayDeque<>(slots.length + 1);
        int number = COUNTER.incrementAndGet();
        start("lancetorch-read-" + number, this::read);
        for (int i = 1; i <= decodeThreads; i++) {
            start("lancetorch-decode-" + number + "-" + i, this::work);
        }
    }

    private void start(String name, Runnable task) {
        threads.add(Thread.ofPlatform().daemon().name(name).start(task));
    }

    private StepSlot slot(int step) {
        return slots[step % slots.length];
    }

    // ---- the reader ----

    private void read() {
        try (source) {
            while (read < steps && awaitRoom()) {
                StepSlot slot = slot(read);
                Throwable failure = null;
                try {
                    assembler.begin(slot, read, source.read(read));
                } catch (Throwable e) {
                    failure = e;
                }
                if (failure == null && slot.parts == 0) {
                    failure = finish(slot);
                }
                hand(slot, failure);
                if (failure != null) {
                    return;
                }
                read++;
            }
        }
    }

    private boolean awaitRoom() {
        lock.lock();
        try {
            while (!closing && read >= released + slots.length) {
                room.awaitUninterruptibly();
            }
            return !closing;
        } finally {
            lock.unlock();
        }
    }

    /** Gives a slot to the workers, or, where nothing is left to do, to the consumer. */
    private void hand(StepSlot slot, Throwable failure) {
        lock.lock();
        try {
            if (failure != null || slot.parts == 0) {
                slot.failure = failure;
                setReady(slot);
            } else {
                slot.partsLeft = slot.parts;
                open.add(slot);
                work.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    private void setReady(StepSlot slot) {
        slot.ready = true;
        ready++;
        done.signalAll();
    }

    // ---- the workers ----

    private void work() {
        lock.lock();
        try {
            while (true) {
                while (!closing && open.isEmpty()) {
                    work.awaitUninterruptibly();
                }
                if (closing) {
                    return;
                }
                StepSlot slot = open.peek();
                int part = slot.nextPart++;
                if (slot.nextPart == slot.parts) {
                    open.poll();
                }
                lock.unlock();
                Throwable failure = run(slot, part);
                lock.lock();
                // Of several failures the one in the first part counts, whichever thread was first.
                if (failure != null && part < slot.failedPart) {
                    slot.failedPart = part;
                    slot.failure = failure;
                }
                if (--slot.partsLeft == 0) {
                    if (slot.failure == null && !closing) {
                        lock.unlock();
                        Throwable unfinished = finish(slot);
                        lock.lock();
                        slot.failure = unfinished;
                    }
                    setReady(slot);
                }
            }
        } finally {
            lock.unlock();
        }
    }

    private Throwable run(StepSlot slot, int part) {
        try {
            assembler.run(slot, part);
            return null;
        } catch (Throwable e) {
            return e;
        }
    }

    private Throwable finish(StepSlot slot) {
        try {
            assembler.finish(slot);
            return null;
        } catch (Throwable e) {
            return e;
        }
    }

    // ---- the consumer ----

    @Override
    public boolean hasNext() {
        return taken < steps;
    }

    @Override
    public Batch next() {
        lock.lock();
        try {
            if (released < taken) {
                released = taken;
                room.signal();
            }
            StepSlot slot = slot(taken);
            while (!closing && !slot.ready) {
                done.await();
            }
            if (closing) {
                throw new CancelledException(
                        "the loader was closed while step " + plan.number(taken) + " was waited for", null);
            }
            slot.ready = false;
            ready--;
            taken++;
            if (slot.failure != null) {
                throw rethrown(slot.failure);
            }
            decodeNanos = slot.decodeNanos.sum();
            bytes = slot.bytes;
            return assembler.handOut(slot);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancelledException("interrupted while waiting for step " + plan.number(taken), e);
        } finally {
            lock.unlock();
        }
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

    @Override
    public long decodeNanos() {
        return decodeNanos;
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public int ready() {
        lock.lock();
        try {
            return ready;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() {
        if (threads.contains(Thread.currentThread())) {
            throw new IllegalStateException(
                    "a loader cannot be closed by its own collate or column function: throw an exception there"
                            + " instead");
        }
        lock.lock();
        try {
            if (closing) {
                while (!closed) {
                    done.awaitUninterruptibly();
                }
                return;
            }
            closing = true;
            room.signalAll();
            work.signalAll();
            done.signalAll();
        } finally {
            lock.unlock();
        }
        source.cancel();
        threads.forEach(BatchPipeline::awaitEnd);
        for (StepSlot slot : slots) {
            assembler.retire(slot);
        }
        assembler.close();
        lock.lock();
        try {
            closed = true;
            done.signalAll();
        } finally {
            lock.unlock();
        }
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
