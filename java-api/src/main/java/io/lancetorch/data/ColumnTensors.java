package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** The one place where an Arrow column becomes a tensor. */
public final class ColumnTensors {
    private ColumnTensors() {}

    /**
     * A tensor over the column's own memory: [rows], or [rows, n] for lists of fixed size n, and so on for lists in lists;
     * [rows, shape...] for {@link Field#fixedShapeTensor tensors of fixed shape}.
     * The memory lives until the last of the tensor's aliases and the column's holders is closed. Bools, which Arrow packs
     * to bits, are unpacked to memory of the tensor's own. To be read only.
     *
     * @throws UnsupportedException for a type that has no tensor form
     * @throws CorruptDataException for a null, which a tensor cannot hold
     */
    public static Tensor alias(Column column) {
        int dimensions = 1;
        for (Field field = column.field();
                field.listSize() >= 0;
                field = field.children().getFirst()) {
            dimensions++;
        }
        long[] sizes = new long[dimensions];
        sizes[0] = column.length();
        Column values = column;
        long begin = 0;
        long count = column.length();
        requireNoNull(column, begin, count, 1, column);
        for (int i = 1; i < dimensions; i++) {
            int size = values.field().listSize();
            sizes[i] = size;
            begin = Math.multiplyExact(values.offset() + begin, size);
            count = Math.multiplyExact(count, size);
            values = values.child(0);
            requireNoNull(values, begin, count, count / Math.max(1, column.length()), column);
        }
        long first = values.offset() + begin;
        long[] strides = null;
        long[] shape = column.field().tensorShape();
        if (shape != null) {
            if (dimensions != 2) {
                throw noTensorForm(column.field());
            }
            sizes = prepend(column.length(), shape);
            strides = prepend(column.field().listSize(), column.field().tensorStrides());
        }
        if (values.field().format().equals("b")) {
            if (strides != null && !isDense(sizes, strides)) {
                throw new UnsupportedException("column " + column.field().name() + " has tensors of bools in a permuted"
                        + " order, which cannot be unpacked: write them in row-major order, or give the column a"
                        + " function");
            }
            Tensor tensor = Tensor.empty(DType.BOOL, sizes);
            if (count > 0) {
                MemorySegment bits = values.buffer(1).reinterpret((first + count + 7) / 8);
                ImageCodec.unpackBits(bits, first, count, tensor.data());
            }
            return tensor;
        }
        DType dtype = dtype(values.field(), column.field());
        if (count == 0) {
            return Tensor.empty(dtype, sizes);
        }
        MemorySegment data = MemorySegment.ofAddress(values.buffer(1).address() + first * dtype.size());
        return over(column, data, dtype, sizes, strides);
    }

    /**
     * The values of all rows of a column of lists, one row's after the other's: a tensor [values] over the column's own memory,
     * as {@link #alias}; {@link #listOffsets} tells the rows apart.
     *
     * @throws UnsupportedException where it is no list of any length, or one whose values have no tensor form
     * @throws CorruptDataException for a null
     */
    public static Tensor listValues(Column column) {
        Column values = listChild(column);
        DType dtype = dtype(values.field(), column.field());
        long first = column.listOffset(0);
        long count = column.listOffset(column.length()) - first;
        requireNoNull(column, 0, column.length(), 1, column);
        requireNoNull(values, first, count, Math.max(1, count), column);
        if (count == 0) {
            return Tensor.empty(dtype, 0);
        }
        long at = values.buffer(1).address() + (values.offset() + first) * dtype.size();
        return over(column, MemorySegment.ofAddress(at), dtype, new long[] {count}, null);
    }

    /** Where each row's values begin in {@link #listValues}, and where the last one's end: int64 [rows + 1]. */
    public static Tensor listOffsets(Column column) {
        listChild(column);
        long[] offsets = new long[Math.toIntExact(column.length() + 1)];
        for (int row = 0; row < offsets.length; row++) {
            offsets[row] = column.listOffset(row) - column.listOffset(0);
        }
        return Tensor.of(offsets);
    }

    private static Column listChild(Column column) {
        if (!column.field().format().equals("+l") && !column.field().format().equals("+L")) {
            throw new UnsupportedException("column " + column.field().name() + " is "
                    + column.field().typeName() + ", and no list of any length");
        }
        return column.child(0);
    }

    private static long[] prepend(long first, long[] rest) {
        long[] all = new long[rest.length + 1];
        all[0] = first;
        System.arraycopy(rest, 0, all, 1, rest.length);
        return all;
    }

    private static boolean isDense(long[] sizes, long[] strides) {
        long step = 1;
        for (int i = sizes.length - 1; i >= 0; i--) {
            if (sizes[i] != 1 && strides[i] != step) {
                return false;
            }
            step *= sizes[i];
        }
        return true;
    }

    /**
     * Decoded images of a cache, a list of fixed size of bytes, as a uint8 tensor [rows, 3, height, width] in channels-last
     * order over the column's own memory.
     */
    static Tensor images(Column column, ImageTransform transform) {
        long height = transform.height();
        long width = transform.width();
        return over(
                column,
                imageBytes(column, 0, column.length()),
                DType.UINT8,
                new long[] {column.length(), 3, height, width},
                new long[] {3 * height * width, 1, 3 * width, 3});
    }

    /** The bytes of some rows of such a column, as long as it is open. */
    static MemorySegment imageBytes(Column column, long first, long count) {
        Column values = column.child(0);
        long size = column.field().listSize();
        requireNoNull(column, first, count, 1, column);
        return MemorySegment.ofAddress(values.buffer(1).address() + values.offset() + (column.offset() + first) * size)
                .reinterpret(count * size);
    }

    /** A tensor that holds the column. */
    private static Tensor over(Column column, MemorySegment data, DType dtype, long[] shape, long[] strides) {
        Column holder = column.retain();
        try {
            Tensor tensor =
                    Tensor.fromMemory(data, dtype, shape, strides, Column.releaseFunction(), holder.nativeHandle());
            holder.giveUp();
            return tensor;
        } catch (RuntimeException e) {
            holder.close();
            throw e;
        }
    }

    /** Of {@code values}, {@code begin} to {@code begin + count} - 1 must not be null; {@code perRow} of them are a row's. */
    static void requireNoNull(Column values, long begin, long count, long perRow, Column column) {
        if (count == 0 || values.nullCount() == 0) {
            return;
        }
        long nulls = 0;
        long row = 0;
        for (long i = count - 1; i >= 0; i--) {
            if (values.isNull(begin + i)) {
                nulls++;
                row = i / perRow;
            }
        }
        if (nulls > 0) {
            throw new CorruptDataException(
                    "column " + column.field().name() + " has " + nulls + " nulls, the first in row " + row
                            + " of the batch, and a tensor cannot hold one: filter them out, or give the column a"
                            + " function",
                    row);
        }
    }

    /** Throws what {@link #alias} would throw for a column of that type. */
    static void requireTensorForm(Field column) {
        Field values = column;
        while (values.listSize() >= 0) {
            values = values.children().getFirst();
        }
        if (!values.format().equals("b")) {
            dtype(values, column);
        }
    }

    private static DType dtype(Field field, Field column) {
        return switch (field.format()) {
            case "c" -> DType.INT8;
            case "C" -> DType.UINT8;
            case "s" -> DType.INT16;
            case "S" -> DType.UINT16;
            case "i" -> DType.INT32;
            case "I" -> DType.UINT32;
            case "l" -> DType.INT64;
            // Lance's row ids are unsigned, but stay far below 2^63; torch has hardly an operator for uint64.
            case "L" -> column.name().equals("_rowid") ? DType.INT64 : DType.UINT64;
            case "e" -> DType.FLOAT16;
            case "f" -> DType.FLOAT32;
            case "g" -> DType.FLOAT64;
            default -> throw noTensorForm(column);
        };
    }

    private static UnsupportedException noTensorForm(Field column) {
        return new UnsupportedException("column " + column.name() + " is " + column.typeName()
                + ", which has no tensor form: leave it out of columns(...), or say how to make a tensor of it"
                + (column.format().equalsIgnoreCase("+l")
                        ? " with tokens(...), packed(...) or column(...)"
                        : " with image(...) or column(...)"));
    }
}
