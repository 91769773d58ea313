package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;

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
