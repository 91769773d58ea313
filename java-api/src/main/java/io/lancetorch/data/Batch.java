package io.lancetorch.data;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The tensors of one step, by column name. It is good until the loader is asked for the next one, which closes it, or until
 * the caller closes it; {@link #detach} keeps it beyond that.
 */
public final class Batch implements AutoCloseable {
    private final Map<String, Tensor> tensors;
    private final long step;
    private final int rows;
    private final int validRows;
    private boolean detached;

    Batch(Map<String, Tensor> tensors, long step, int rows, int validRows) {
        this.tensors = new LinkedHashMap<>(tensors);
        this.step = step;
        this.rows = rows;
        this.validRows = validRows;
    }

    /**
     * The tensor of a column, whose first dimension is {@link #rows}. This batch goes on owning it.
     *
     * @throws NotFoundException where the loader reads no such column
     */
    public Tensor get(String column) {
        Tensor tensor = tensors.get(column);
        if (tensor == null) {
            throw new NotFoundException("no column " + column + " in this batch; there are " + tensors.keySet());
        }
        return tensor;
    }

    /** All tensors, in the order of the loader's columns. */
    public Map<String, Tensor> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    /** Counted from 0 within the epoch. */
    public long step() {
        return step;
    }

    /** All rows, repeats included. */
    public int rows() {
        return rows;
    }

    /** How many rows, from the first on, are not repeats that only fill the batch up. */
    public int validRows() {
        return validRows;
    }

    /** A bool tensor [rows], true for the valid ones; the current scope owns it. */
    public Tensor mask() {
        Tensor mask = Ops.zeros(DType.BOOL, rows);
        if (validRows > 0) {
            try (var _ = new TensorScope()) {
                Ops.fillInPlace(Ops.narrow(mask, 0, 0, validRows), 1);
            }
        }
        return mask;
    }

    /** Keeps the batch when the loader goes on; from now on the caller closes it. */
    public Batch detach() {
        detached = true;
        return this;
    }

    boolean isDetached() {
        return detached;
    }

    /** Frees the tensors; a second close does nothing. */
    @Override
    public void close() {
        tensors.values().forEach(Tensor::close);
    }

    @Override
    public String toString() {
        return "Batch[step " + step + ", " + rows + " rows, " + tensors + "]";
    }
}
