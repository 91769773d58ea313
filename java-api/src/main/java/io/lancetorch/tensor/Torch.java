package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;

/** What concerns the whole of libtorch in this process. */
public final class Torch {
    private Torch() {}

    /** Seeds the default random generator of every device. */
    public static void manualSeed(long seed) {
        Native frame = Native.get();
        frame.check(torch_h.lt_torch_manual_seed(seed, frame.error));
    }

    /** The state of the CPU's default random generator, as {@code torch.get_rng_state()} gives it: uint8, some 5 kB. */
    public static Tensor randomState() {
        return randomState(Device.CPU);
    }

    /**
     * As {@link #randomState()}, of a device; the tensor is on the CPU, and belongs to the current scope.
     *
     * @throws UnsupportedException where there is no such device
     */
    public static Tensor randomState(Device device) {
        Native frame = Native.get();
        frame.check(torch_h.lt_random_state(frame.device(device), frame.out, frame.error));
        return frame.outTensor("Torch.randomState");
    }

    /**
     * Lets the CPU's random numbers go on from {@code state}, as {@code torch.set_rng_state(state)}.
     *
     * @throws InvalidArgumentException where it is no state of a generator
     */
    public static void randomState(Tensor state) {
        randomState(Device.CPU, state);
    }

    /** As {@link #randomState(Tensor)}, for a device. */
    public static void randomState(Device device, Tensor state) {
        Native frame = Native.get();
        frame.check(torch_h.lt_random_set_state(frame.device(device), state.pointer(), frame.error));
    }

    /**
     * Sets how many threads one operator may use; torchrun's OMP_NUM_THREADS does the same from outside.
     *
     * @throws InvalidArgumentException for fewer than 1, or more than 4,096: OpenMP ends the process where it cannot start them
     */
    public static void numThreads(int threads) {
        if (threads > 4096) {
            throw new InvalidArgumentException(threads + " threads for an operator: at most 4,096");
        }
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
