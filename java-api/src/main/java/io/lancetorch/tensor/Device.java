package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.lt_memory_stats;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Where a tensor's memory is. {@code index} -1 is the current device of that type. */
public record Device(Type type, int index) {
    /** The CPU's memory. */
    public static final Device CPU = new Device(Type.CPU, -1);

    /** Kinds of devices, with the codes of {@code c10::DeviceType}. */
    public enum Type {
        CPU(0),
        CUDA(1);

        private final int code;

        Type(int code) {
            this.code = code;
        }

        int code() {
            return code;
        }
    }

    /** The {@code index}-th GPU. */
    public static Device cuda(int index) {
        if (index < 0) {
            throw new InvalidArgumentException("device index " + index + " is negative");
        }
        return new Device(Type.CUDA, index);
    }

    /**
     * The device of a name as PyTorch writes it: {@code cpu}, {@code cuda} or {@code cuda:1}.
     *
     * @throws InvalidArgumentException for another name
     */
    public static Device parse(String name) {
        if (name.equals("cpu")) {
            return CPU;
        }
        if (name.equals("cuda")) {
            return new Device(Type.CUDA, -1);
        }
        if (name.matches("cuda:[0-9]{1,3}")) {
            return cuda(Integer.parseInt(name.substring("cuda:".length())));
        }
        throw new InvalidArgumentException("no device is called \"" + name + "\": there are cpu, cuda and cuda:INDEX");
    }

    /**
     * Makes the device ready, and returns it.
     *
     * @throws UnsupportedException where it cannot be used, in one line that says why: this libtorch was built without it, there
     *     is no driver, or no such device
     */
    public Device require() {
        Native frame = Native.get();
        frame.check(torch_h.lt_device_require(frame.device(this), frame.error));
        return this;
    }

    /** Whether {@link #require} would return. */
    public boolean isAvailable() {
        Native frame = Native.get();
        return torch_h.lt_device_require(frame.device(this), frame.error) == torch_h.LT_OK();
    }

    /**
     * What libtorch's caching allocator has of the device's memory. Memory of tensors that are gone is kept for later ones.
     *
     * @throws UnsupportedException where there is no such device, or on the CPU
     */
    public MemoryStats memoryStats() {
        Native frame = Native.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment stats = lt_memory_stats.allocate(arena);
            frame.check(torch_h.lt_device_memory_stats(frame.device(this), stats, frame.error));
            return new MemoryStats(
                    lt_memory_stats.allocated(stats),
                    lt_memory_stats.allocated_peak(stats),
                    lt_memory_stats.reserved(stats),
                    lt_memory_stats.reserved_peak(stats),
                    lt_memory_stats.allocations(stats),
                    lt_memory_stats.retries(stats),
                    lt_memory_stats.out_of_memory(stats),
                    lt_memory_stats.free(stats),
                    lt_memory_stats.total(stats));
        }
    }

    /** Lets the peaks of {@link #memoryStats} begin anew. */
    public void resetPeakMemory() {
        Native frame = Native.get();
        frame.check(torch_h.lt_device_reset_peak_memory(frame.device(this), frame.error));
    }

    /** Gives the memory back to the device that is kept for later tensors, so that other processes can have it. */
    public void emptyCache() {
        Native frame = Native.get();
        frame.check(torch_h.lt_device_empty_cache(frame.device(this), frame.error));
    }

    /** How many devices of a type this libtorch sees here: 1 for the CPU, 0 where the build or the driver has none. */
    public static int count(Type type) {
        Native.open();
        return torch_h.lt_device_count(type.code());
    }

    /**
     * Waits until the device has nothing left to do; on the CPU, at once.
     *
     * @throws UnsupportedException where there is no such device
     */
    public void synchronize() {
        Native frame = Native.get();
        frame.check(torch_h.lt_device_synchronize(frame.device(this), frame.error));
    }

    static Device of(int type, int index) {
        return switch (type) {
            case 0 -> CPU;
            case 1 -> new Device(Type.CUDA, index);
            default -> throw new UnsupportedException("a tensor on c10::DeviceType " + type);
        };
    }

    /** An {@code lt_device} as one word. */
    long packed() {
        return type.code() & 0xffffffffL | (long) index << 32;
    }

    @Override
    public String toString() {
        return type == Type.CPU ? "cpu" : index < 0 ? "cuda" : "cuda:" + index;
    }
}
