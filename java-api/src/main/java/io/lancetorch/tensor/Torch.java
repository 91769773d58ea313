package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

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

    /**
     * Lets operators whose results would differ from run to run take a deterministic way, as {@code
     * torch.use_deterministic_algorithms}. One that has none throws an {@link UnsupportedException} or {@link
     * InvalidArgumentException}, or, with {@code warnOnly}, warns on stderr. cuBLAS also wants {@code
     * CUBLAS_WORKSPACE_CONFIG=:4096:8} in the environment.
     */
    public static void deterministic(boolean enabled, boolean warnOnly) {
        Native frame = Native.get();
        frame.check(torch_h.lt_torch_set_deterministic(enabled ? 1 : 0, warnOnly ? 1 : 0, frame.error));
    }

    /** Whether {@link #deterministic} is on. */
    public static boolean isDeterministic() {
        Native.open();
        return torch_h.lt_torch_deterministic() != 0;
    }

    /** Lets cuDNN try its algorithms at the first convolution of each shape, and keep the fastest: where shapes seldom change. */
    public static void cudnnBenchmark(boolean enabled) {
        Native frame = Native.get();
        frame.check(torch_h.lt_torch_set_cudnn_benchmark(enabled ? 1 : 0, frame.error));
    }

    /** Whether {@link #cudnnBenchmark} is on. */
    public static boolean isCudnnBenchmark() {
        Native.open();
        return torch_h.lt_torch_cudnn_benchmark() != 0;
    }

    /** How exactly matrix products and convolutions of float32 are computed, where the device can do it in other ways. */
    public enum Float32Precision {
        /** In float32. libtorch's default, but for cuDNN's convolutions, which may use TensorFloat-32. */
        HIGHEST,
        /** In TensorFloat-32, with 10 bits of mantissa. */
        HIGH,
        /** In bfloat16, with 7 bits of mantissa. */
        MEDIUM
    }

    /** As {@code torch.set_float32_matmul_precision}, and for cuDNN's convolutions alike. */
    public static void float32Precision(Float32Precision precision) {
        Native frame = Native.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocateFrom(precision.name().toLowerCase(Locale.ROOT));
            frame.check(torch_h.lt_torch_set_float32_precision(name, frame.error));
        }
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
