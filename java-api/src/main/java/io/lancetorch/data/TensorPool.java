package io.lancetorch.data;

import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** CPU tensors whose memory is used again once nobody else holds it. Any thread. */
final class TensorPool implements AutoCloseable {
    private final boolean pinned;
    private final int kept;
    private final List<Tensor> tensors = new ArrayList<>();
    private boolean closed;

    /** {@code pinned}: in page-locked memory, which libtorch keeps itself. {@code kept}: how many to keep, 1 or more. */
    TensorPool(boolean pinned, int kept) {
        this.pinned = pinned;
        this.kept = kept;
    }

    /** A tensor of any content, which the current scope or the caller closes. */
    synchronized Tensor take(DType dtype, long... shape) {
        // Of copies of page-locked memory that are under way, libtorch's allocator alone knows.
        if (pinned || closed) {
            return Tensor.empty(dtype, Device.CPU, MemoryFormat.CONTIGUOUS, pinned, shape);
        }
        for (int i = 0; i < tensors.size(); i++) {
            Tensor tensor = tensors.get(i);
            if (tensor.storageUseCount() == 1 && tensor.dtype() == dtype && Arrays.equals(tensor.shape(), shape)) {
                tensors.add(tensors.remove(i));
                return tensor.detach();
            }
        }
        if (tensors.size() == kept) {
            // That which was taken longest ago: who still uses it now keeps it.
            tensors.removeFirst().close();
        }
        Tensor made = TensorScope.detach(Tensor.empty(dtype, shape));
        tensors.add(made);
        return made.detach();
    }

    /** Frees what nobody else holds; the rest is freed by its holders. */
    @Override
    public synchronized void close() {
        closed = true;
        tensors.forEach(Tensor::close);
        tensors.clear();
    }
}
