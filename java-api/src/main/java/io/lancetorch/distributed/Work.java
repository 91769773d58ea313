package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.PeerFailedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/** A collective under way. Its tensors must not be touched before {@link #await} has returned. The caller closes it. */
public final class Work implements AutoCloseable {
    private final String name;
    private MemorySegment handle;

    Work(String name, MemorySegment handle) {
        this.name = name;
        this.handle = handle;
    }

    private MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("the work handle of " + name + " is closed");
        }
        return handle;
    }

    /**
     * Waits for the end.
     *
     * @throws PeerFailedException where another rank is gone
     * @throws DeadlineException where the collective's timeout has passed
     */
    public void await() {
        await(Duration.ZERO);
    }

    /** As {@link #await()}, for no longer than {@code timeout} where that is more than 0. */
    public void await(Duration timeout) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            Status.check(torch_h.lt_work_wait(handle(), timeout.toMillis(), error), error, name);
        }
    }

    /** Whether it has ended, well or not. */
    public boolean isDone() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment done = arena.allocate(JAVA_INT);
            Status.check(torch_h.lt_work_query(handle(), done, error), error, name);
            return done.get(JAVA_INT, 0) != 0;
        }
    }

    /** Frees the handle; does not wait. A second close does nothing. */
    @Override
    public void close() {
        if (handle != null) {
            torch_h.lt_work_release(handle);
            handle = null;
        }
    }
}
