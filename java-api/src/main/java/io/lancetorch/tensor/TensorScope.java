package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.torch.torch_h;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Frees all tensors that its thread makes while it is the innermost open one.
 *
 * <pre>{@code
 * try (var scope = new TensorScope()) {
 *     Tensor loss = Ops.crossEntropy(model.forward(images), labels);
 *     loss.backward();
 * } // images' features, logits, loss: all freed
 * }</pre>
 *
 * <p>{@link #detach} lets one tensor out, to be closed by the caller; {@link #moveToOuter} gives it to the scope around
 * this one. A scope belongs to the thread that made it; tensors of other threads and detached ones are not touched.
 */
public final class TensorScope implements AutoCloseable {
    private final Thread thread = Thread.currentThread();
    private final Native owner;
    private final TensorScope outer;
    private Tensor[] tensors = new Tensor[64];
    private int count;
    private boolean closed;

    /** Opens a scope for the calling thread within the one that is open, if any. */
    public TensorScope() {
        owner = Native.get();
        outer = owner.scope;
        owner.scope = this;
    }

    void add(Tensor tensor) {
        if (count == tensors.length) {
            tensors = Arrays.copyOf(tensors, 2 * count);
        }
        tensor.slot = count;
        tensors[count++] = tensor;
    }

    void remove(Tensor tensor) {
        int slot = tensor.slot;
        Tensor last = tensors[--count];
        tensors[slot] = last;
        last.slot = slot;
        tensors[count] = null;
    }

    /**
     * Takes {@code tensor} out of its scope; from now on the caller closes it. Does nothing where no scope has it.
     *
     * @throws IllegalStateException where the tensor is closed, or its scope is another thread's
     */
    public static Tensor detach(Tensor tensor) {
        tensor.handle();
        TensorScope scope = tensor.scope;
        if (scope != null) {
            scope.requireThread("detach a tensor from");
            scope.remove(tensor);
            tensor.scope = null;
        }
        return tensor;
    }

    /** Gives {@code tensor} to the scope around this one, or, where there is none, to the caller. */
    public Tensor moveToOuter(Tensor tensor) {
        requireOpen();
        detach(tensor);
        if (outer != null) {
            outer.adopt(tensor);
        }
        return tensor;
    }

    /** Makes this scope the owner of a tensor that belongs to the caller or to another scope of the same thread. */
    public Tensor adopt(Tensor tensor) {
        requireOpen();
        requireThread("adopt a tensor into");
        detach(tensor);
        tensor.scope = this;
        add(tensor);
        return tensor;
    }

    /** How many tensors it would free now. */
    public int size() {
        return count;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("this TensorScope is closed");
        }
    }

    private void requireThread(String action) {
        if (Thread.currentThread() != thread) {
            throw new IllegalStateException("thread " + Thread.currentThread().getName() + " cannot " + action
                    + " a scope of thread " + thread.getName()
                    + ": detach the tensor there, and hand it over then");
        }
    }

    /**
     * Frees the tensors, and first those of scopes that were opened within this one and are open still. A second close
     * does nothing.
     *
     * @throws IllegalStateException from another thread than the scope's
     */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        requireThread("close");
        while (owner.scope != this) {
            owner.scope.close();
        }
        owner.scope = outer;
        closed = true;
        release();
    }

    private void release() {
        if (count == 0) {
            return;
        }
        MemorySegment handles = owner.handles(count);
        for (int i = 0; i < count; i++) {
            handles.setAtIndex(JAVA_LONG, i, tensors[i].forget());
        }
        torch_h.lt_tensor_release_all(handles, count);
        tensors = null;
        count = 0;
    }
}
