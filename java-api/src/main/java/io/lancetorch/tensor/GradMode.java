package io.lancetorch.tensor;

import io.lancetorch.bindings.torch.torch_h;

/**
 * Switches the recording of gradients for the calling thread, until it is closed.
 *
 * <pre>{@code
 * try (var _ = GradMode.noGrad()) {
 *     Tensor logits = model.forward(images);
 * }
 * }</pre>
 */
public final class GradMode implements AutoCloseable {
    private final Thread thread = Thread.currentThread();
    private final int before;
    private boolean closed;

    private GradMode(boolean enabled) {
        Native.open();
        before = torch_h.lt_grad_mode_set(enabled ? 1 : 0);
    }

    /** Nothing is recorded until the result is closed. */
    public static GradMode noGrad() {
        return new GradMode(false);
    }

    /** Everything is recorded until the result is closed. */
    public static GradMode enableGrad() {
        return new GradMode(true);
    }

    /** Whether the calling thread records. */
    public static boolean isEnabled() {
        Native.open();
        return torch_h.lt_grad_mode() != 0;
    }

    /** Back to what it was. A second close does nothing. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        if (Thread.currentThread() != thread) {
            throw new IllegalStateException("a GradMode of thread " + thread.getName() + " is closed by thread "
                    + Thread.currentThread().getName());
        }
        closed = true;
        torch_h.lt_grad_mode_set(before);
    }
}
