package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.StorageException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * libtorch's own profiler, from its start to {@link #save}: every operator of the thread and of the backwards that it runs, and
 * what CUDA did meanwhile. One at a time in a process, and started and ended by the same thread.
 *
 * <pre>{@code
 * try (var profiler = Profiler.start()) {
 *     step(batch);
 *     profiler.save(Path.of("trace.json"));   // opens in Perfetto and chrome://tracing
 * }
 * }</pre>
 */
public final class Profiler implements AutoCloseable {
    private final Thread thread = Thread.currentThread();
    private boolean ended;

    private Profiler() {
        Native frame = Native.get();
        frame.check(torch_h.lt_profiler_start(1, frame.error));
    }

    /**
     * Starts it, with the shapes of what operators are given.
     *
     * @throws InvalidArgumentException where one is running
     */
    public static Profiler start() {
        return new Profiler();
    }

    /**
     * Ends it, and writes the trace: JSON of Chrome's trace events.
     *
     * @throws StorageException where the file cannot be written
     * @throws IllegalStateException where it has ended, or from another thread
     */
    public void save(Path file) {
        if (ended) {
            throw new IllegalStateException("this Profiler has ended");
        }
        end(file);
    }

    private void end(Path file) {
        if (Thread.currentThread() != thread) {
            throw new IllegalStateException("a Profiler of thread " + thread.getName() + " is ended by thread "
                    + Thread.currentThread().getName());
        }
        ended = true;
        Native frame = Native.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment path = file == null ? MemorySegment.NULL : arena.allocateFrom(file.toString());
            frame.check(torch_h.lt_profiler_stop(path, frame.error));
        }
    }

    /** Ends it without a trace, where it has not ended. */
    @Override
    public void close() {
        if (!ended) {
            end(null);
        }
    }
}
