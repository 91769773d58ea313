package io.lancetorch.lance;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** What concerns the whole of Lance in this process. */
public final class Lance {
    private Lance() {}

    /** The version of the {@code lance} crate. */
    public static String version() {
        NativeLibraries.lance();
        return lance_h.lt_lance_version().getString(0);
    }

    /**
     * Sets the number of threads that decompress and filter; the cores of the machine unless said.
     *
     * @throws InvalidArgumentException for fewer than 1, for more than 4,096, or after the first use of a dataset with another number
     */
    public static void numThreads(int threads) {
        if (threads > 4096) {
            throw new InvalidArgumentException(threads + " threads for Lance: at most 4,096");
        }
        NativeLibraries.lance();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            Status.check(lance_h.lt_lance_set_threads(threads, error), error);
        }
    }

    /** Kinds of native objects that are counted. */
    public enum Kind {
        DATASET,
        SCAN,
        COLUMN,
        WRITER,
        STREAM,
        BLOB
    }

    /** How many objects of that kind nobody has closed yet, in the whole process. */
    public static long liveHandles(Kind kind) {
        NativeLibraries.lance();
        return lance_h.lt_lance_live_handles(kind.ordinal());
    }

    /** Bytes of columns that were handed out, and that have not been freed yet. */
    public static long liveBytes() {
        NativeLibraries.lance();
        return lance_h.lt_lance_live_bytes();
    }
}
