package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.lt_autocast;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Mixed precision for the calling thread, until it is closed, as {@code torch.autocast}: on devices of one type, operators that
 * gain by it (convolutions, matrix products) take their arguments in a shorter dtype, and those that need it (losses, norms)
 * in float32. The backward of what ran in it uses the same dtypes, and runs outside of it. With float16, a {@link GradScaler}
 * keeps small gradients.
 *
 * <pre>{@code
 * Tensor loss;
 * try (var _ = Autocast.on(Device.Type.CUDA, DType.BFLOAT16)) {
 *     loss = Ops.crossEntropy(model.forward(images), labels);
 * }
 * loss.backward();
 * }</pre>
 */
public final class Autocast implements AutoCloseable {
    private final Thread thread = Thread.currentThread();
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment before = lt_autocast.allocate(arena);
    private boolean closed;

    private Autocast(Device.Type type, boolean enabled, DType dtype) {
        Native frame = Native.get();
        frame.check(torch_h.lt_autocast_enter(type.code(), enabled ? 1 : 0, dtype.code(), before, frame.error));
    }

    /**
     * To {@code dtype} on devices of that type.
     *
     * @throws InvalidArgumentException for a dtype that is neither float16 nor bfloat16
     */
    public static Autocast on(Device.Type type, DType dtype) {
        return new Autocast(type, true, dtype);
    }

    /** Within another one: a part that runs in the dtypes of its arguments. */
    public static Autocast off(Device.Type type) {
        return new Autocast(type, false, DType.BFLOAT16);
    }

    /** Whether operators of the calling thread are autocast on devices of that type. */
    public static boolean isEnabled(Device.Type type) {
        Native.open();
        return torch_h.lt_autocast_enabled(type.code()) != 0;
    }

    /** Back to what it was. A second close does nothing. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        if (Thread.currentThread() != thread) {
            throw new IllegalStateException("an Autocast of thread " + thread.getName() + " is closed by thread "
                    + Thread.currentThread().getName());
        }
        closed = true;
        Native frame = Native.get();
        try {
            frame.check(torch_h.lt_autocast_exit(before, frame.error));
        } finally {
            arena.close();
        }
    }
}
