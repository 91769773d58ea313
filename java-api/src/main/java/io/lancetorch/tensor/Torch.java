package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;

/** What concerns the whole of libtorch in this process. */
public final class Torch {
    private Torch() {}

    /** Seeds the default random generator of every device. */
    public static void manualSeed(long seed) {
        Native frame = Native.get();
        frame.check(torch_h.lt_torch_manual_seed(seed, frame.error));
    }

    /**
     * Sets how many threads one operator may use; torchrun's OMP_NUM_THREADS does the same from outside.
     *
     * @throws InvalidArgumentException for fewer than 1
     */
    public static void numThreads(int threads) {
        Native frame = Native.get();
        frame.check(torch_h.lt_torch_set_num_threads(threads, frame.error));
    }

    /** How many threads one operator may use. */
    public static int numThreads() {
        Native.open();
        return torch_h.lt_torch_num_threads();
    }

    /** The version of the libtorch in use, such as {@code 2.10.0}. */
    public static String version() {
        Native.open();
        return torch_h.lt_torch_built_version().getString(0);
    }

    /** Kinds of native objects that are counted. */
    public enum Kind {
        TENSOR,
        OPTIMIZER,
        STORE,
        PROCESS_GROUP,
        WORK,
        REDUCER,
        STREAM,
        EVENT
    }

    /** How many objects of that kind nobody has closed yet, in the whole process. */
    public static long liveHandles(Kind kind) {
        Native.open();
        return torch_h.lt_torch_live_handles(kind.ordinal());
    }

    /** Bytes of outside memory that tensors alias, and that have not been given back yet. */
    public static long liveBytes() {
        Native.open();
        return torch_h.lt_torch_live_bytes();
    }
}
