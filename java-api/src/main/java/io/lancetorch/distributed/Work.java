package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.Collective;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.PeerFailedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/** A collective under way. Its tensors must not be touched before {@link #await} has returned. The caller closes it. */
public final class Work implements AutoCloseable {
    /** A thread in native code sees no interrupt; so often it looks. */
    private static final long INTERRUPT_MILLIS = 100;

    private final ProcessGroup group;
    private final Collective collective;
    private final boolean inStream;
    private MemorySegment handle;

    /** {@code inStream}: NCCL's, which streams wait for. */
    Work(ProcessGroup group, Collective collective, MemorySegment handle, boolean inStream) {
        this.inStream = inStream;
        this.group = group;
        this.collective = collective;
        this.handle = handle;
    }

    /** What it is. */
    public Collective collective() {
        return collective;
    }

    private MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("the work handle of " + collective + " is closed");
        }
        return handle;
    }

    /**
     * Waits for the end; of NCCL's, lets the calling thread's current stream wait for it and returns. A failure of another rank ends the wait as soon as it is known.
     *
     * @throws PeerFailedException naming the ranks that are gone, failed or left
     * @throws DeadlineException where the collective's timeout has passed, naming the ranks that did not come
     * @throws CancelledException where the thread is interrupted while it waits; the interrupt stays set, and the collective
     *     goes on
     */
    public void await() {
        await(Duration.ZERO);
    }

    /** As {@link #await()}, and for NCCL's too until the end itself, for no longer than {@code timeout} where that is more than 0; the collective goes on. */
    public void await(Duration timeout) {
        long limit = timeout.toMillis();
        long begin = System.nanoTime();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            if (inStream && limit == 0) {
                group.check(waitFor(0, error), error, collective);
                return;
            }
            while (true) {
                long left = limit == 0 ? INTERRUPT_MILLIS : limit - (System.nanoTime() - begin) / 1_000_000;
                int status = waitFor(Math.clamp(left, 1, INTERRUPT_MILLIS), error);
                if (status != torch_h.LT_TIMEOUT() || isDone()) {
                    group.check(status == torch_h.LT_OK() ? status : waitFor(0, error), error, collective);
                    return;
                }
                if (limit > 0 && left <= INTERRUPT_MILLIS) {
                    throw new DeadlineException(
                            group.where(collective) + ": it is still under way after " + limit + " ms");
                }
                if (Thread.currentThread().isInterrupted()) {
                    throw new CancelledException("interrupted while waiting for " + group.where(collective), null);
                }
            }
        }
    }

    /** Holds off {@link #close} on another thread meanwhile. */
    private synchronized int waitFor(long millis, MemorySegment error) {
        return torch_h.lt_work_wait(handle(), millis, error);
    }

    /** Whether it has ended, well or not. */
    public synchronized boolean isDone() {
        return isDone(handle());
    }

    static boolean isDone(MemorySegment handle) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment done = arena.allocate(JAVA_INT);
            Status.check(torch_h.lt_work_query(handle, done, error), error);
            return done.get(JAVA_INT, 0) != 0;
        }
    }

    /** Gives the work up, and does not wait: one that is under way goes on, to its end or its group's. */
    @Override
    public synchronized void close() {
        if (handle != null) {
            group.giveUp(handle);
            handle = null;
        }
    }
}
