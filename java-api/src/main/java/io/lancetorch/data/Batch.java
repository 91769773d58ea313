package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * The tensors of one step, by column name. It is good until the loader is asked for the next one, which closes it, or until
 * the caller closes it; {@link #detach} keeps it beyond that. A tensor that shares the memory of one of its tensors, such as a
 * view, keeps that memory as it is for as long as it lives.
 */
public final class Batch implements AutoCloseable {
    private final String[] names;
    private final Tensor[] tensors;
    private final long step;
    private final int rows;
    private final int validPrefix;
    private final boolean[] bad;
    private boolean detached;

    /** {@code validPrefix}: rows after that many only fill the batch up. {@code bad}: further rows that are not valid, or null. */
    Batch(String[] names, Tensor[] tensors, long step, int rows, int validPrefix, boolean[] bad) {
        this.names = names;
        this.tensors = tensors;
        this.step = step;
        this.rows = rows;
        this.validPrefix = validPrefix;
        this.bad = bad;
    }

    /**
     * The tensor of a column, whose first dimension is {@link #rows}. This batch goes on owning it.
     *
     * @throws NotFoundException where the loader reads no such column
     */
    public Tensor get(String column) {
        for (int i = 0; i < names.length; i++) {
            if (names[i].equals(column)) {
                return tensors[i];
            }
        }
        throw new NotFoundException("no column " + column + " in this batch; there are " + Arrays.toString(names));
    }

    /** All tensors, in the order of the loader's columns. */
    public SequencedMap<String, Tensor> tensors() {
        SequencedMap<String, Tensor> all = new LinkedHashMap<>();
        for (int i = 0; i < names.length; i++) {
            all.put(names[i], tensors[i]);
        }
        return all;
    }

    /** Counted from 0 within the epoch; where that is resumed, it goes on counting: see {@link DataLoader#resume}. */
    public long step() {
        return step;
    }

    /** All rows, repeats included. */
    public int rows() {
        return rows;
    }

    /** How many rows are valid. */
    public int validRows() {
        int valid = validPrefix;
        for (int i = 0; bad != null && i < validPrefix; i++) {
            valid -= bad[i] ? 1 : 0;
        }
        return valid;
    }

    /** Whether a row is one to count: not a repeat that only fills the batch up, and not in the place of a bad row. */
    public boolean isValid(int row) {
        if (row < 0 || row >= rows) {
            throw new InvalidArgumentException("row " + row + " of a batch of " + rows);
        }
        return row < validPrefix && (bad == null || !bad[row]);
    }

    /** A bool tensor [rows] on the device of the others, true for the valid ones; the current scope owns it. */
    public Tensor mask() {
        Tensor mask = Tensor.empty(DType.BOOL, rows);
        if (rows > 0) {
            MemorySegment values = mask.data();
            for (int row = 0; row < rows; row++) {
                values.set(ValueLayout.JAVA_BYTE, row, (byte) (isValid(row) ? 1 : 0));
            }
        }
        Device device = tensors.length == 0 ? Device.CPU : tensors[0].device();
        return device.type() == Device.Type.CPU ? mask : mask.to(device);
    }

    /** A batch that no loader made, all of whose rows are valid, of tensors that it owns from now on. */
    public static Batch of(SequencedMap<String, Tensor> tensors) {
        int rows = -1;
        for (Tensor tensor : tensors.values()) {
            int size = tensor.shape().length == 0 ? -1 : Math.toIntExact(tensor.size(0));
            if (size < 0 || rows >= 0 && size != rows) {
                throw new InvalidArgumentException(
                        "tensors of a batch share their first dimension, its rows: " + tensors);
            }
            rows = size;
        }
        Tensor[] owned = tensors.values().stream().map(TensorScope::detach).toArray(Tensor[]::new);
        return new Batch(tensors.keySet().toArray(String[]::new), owned, 0, Math.max(0, rows), Math.max(0, rows), null);
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
        for (Tensor tensor : tensors) {
            tensor.close();
        }
    }

    @Override
    public String toString() {
        return "Batch[step " + step + ", " + rows + " rows, " + tensors() + "]";
    }
}
