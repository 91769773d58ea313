package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * One holder of an Arrow array in Lance's memory, which is freed when its last holder closes. To be read only. A column may
 * be read by many threads at once, and closed when none reads it any more.
 */
public final class Column implements AutoCloseable {
    private final Field field;
    private final MemorySegment array;
    private final Column parent;
    private MemorySegment handle;

    Column(Field field, long address) {
        this.field = field;
        parent = null;
        handle = MemorySegment.ofAddress(address);
        array = lance_h.lt_column_array(handle).reinterpret(ArrowArray.sizeof());
    }

    private Column(Field field, MemorySegment handle, MemorySegment array, Column parent) {
        this.field = field;
        this.handle = handle;
        this.array = array;
        this.parent = parent;
    }

    /** The address of the C function that lets one holder go, and that takes {@link #nativeHandle} as its argument. */
    public static MemorySegment releaseFunction() {
        return lance_h.lt_column_release$address();
    }

    private void requireOpen() {
        if (handle == null) {
            throw new IllegalStateException("column " + field.name() + " is closed, or its batch is");
        }
        if (parent != null) {
            parent.requireOpen();
        }
    }

    public Field field() {
        return field;
    }

    /** The number of rows. */
    public long length() {
        requireOpen();
        return ArrowArray.length(array);
    }

    /** How many rows are null. */
    public long nullCount() {
        requireOpen();
        long count = ArrowArray.null_count(array);
        if (count >= 0) {
            return count;
        }
        long nulls = 0;
        for (long row = 0; row < ArrowArray.length(array); row++) {
            nulls += isNull(row) ? 1 : 0;
        }
        return nulls;
    }

    public boolean isNull(long row) {
        requireRow(row);
        MemorySegment bits = buffer(0);
        if (bits.address() == 0) {
            return false;
        }
        long at = offset() + row;
        return (bits.reinterpret(Long.MAX_VALUE).get(JAVA_BYTE, at >>> 3) >>> (at & 7) & 1) == 0;
    }

    /** Where the first row lies in the buffers, in elements. */
    public long offset() {
        requireOpen();
        return ArrowArray.offset(array);
    }

    /** The {@code ArrowArray}, as long as this column is open. */
    public MemorySegment array() {
        requireOpen();
        return array;
    }

    /** The {@code index}-th buffer, of a size that only its type and length tell; an address of 0 where it is left out. */
    public MemorySegment buffer(int index) {
        requireOpen();
        long count = ArrowArray.n_buffers(array);
        if (index < 0 || index >= count) {
            throw new InvalidArgumentException("column " + field.name() + " has " + count + " buffers, not " + index);
        }
        return ArrowArray.buffers(array).reinterpret(count * ADDRESS.byteSize()).getAtIndex(ADDRESS, index);
    }

    /** A child of a nested column, good for as long as this one is open; closing it does nothing. */
    public Column child(int index) {
        requireOpen();
        long count = ArrowArray.n_children(array);
        if (index < 0 || index >= count) {
            throw new InvalidArgumentException("column " + field.name() + " has " + count + " children, not " + index);
        }
        MemorySegment child = ArrowArray.children(array)
                .reinterpret(count * ADDRESS.byteSize())
                .getAtIndex(ADDRESS, index)
                .reinterpret(ArrowArray.sizeof());
        return new Column(field.children().get(index), handle, child, this);
    }

    private void requireRow(long row) {
        if (row < 0 || row >= length()) {
            throw new InvalidArgumentException(
                    "row " + row + " of column " + field.name() + ", which has " + length() + " rows");
        }
    }

    /** The bytes of a binary or text row, without a copy, as long as this column is open; null for a null. */
    public MemorySegment bytes(long row) {
        if (isNull(row)) {
            return null;
        }
        MemorySegment offsets = buffer(1).reinterpret(Long.MAX_VALUE);
        long at = offset() + row;
        long begin;
        long end;
        switch (field.format()) {
            case "z", "u" -> {
                begin = offsets.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at);
                end = offsets.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at + 1);
            }
            case "Z", "U" -> {
                begin = offsets.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at);
                end = offsets.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at + 1);
            }
            default ->
                throw new UnsupportedException(
                        "column " + field.name() + " is " + field.typeName() + " and has no bytes by row");
        }
        if (begin < 0 || end < begin) {
            throw new CorruptDataException(
                    "row " + row + " of column " + field.name() + " has the offsets " + begin + " and " + end, row);
        }
        return buffer(2).reinterpret(end).asSlice(begin, end - begin);
    }

    /**
     * Where the values of a row of a list of any length begin, counted over the rows of {@link #child child(0)}; of row {@link
     * #length}, where those of the last row end.
     *
     * @throws UnsupportedException where it is no such list
     * @throws CorruptDataException where the child has no such place
     */
    public long listOffset(long row) {
        if (row < 0 || row > length()) {
            requireRow(row);
        }
        if (length() == 0) {
            return 0;
        }
        MemorySegment offsets = buffer(1).reinterpret(Long.MAX_VALUE);
        long at = offset() + row;
        long place =
                switch (field.format()) {
                    case "+l" -> offsets.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at);
                    case "+L" -> offsets.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at);
                    default ->
                        throw new UnsupportedException(
                                "column " + field.name() + " is " + field.typeName() + " and no list of any length");
                };
        long end = child(0).length();
        if (place < 0 || place > end) {
            throw new CorruptDataException(
                    "row " + row + " of column " + field.name() + " begins at value " + place + " of " + end, row);
        }
        return place;
    }

    /** The text of a row; null for a null. */
    public String text(long row) {
        MemorySegment bytes = bytes(row);
        return bytes == null ? null : new String(bytes.toArray(JAVA_BYTE), StandardCharsets.UTF_8);
    }

    /** An integer row of any width, or a bool as 0 or 1. */
    public long integer(long row) {
        requireRow(row);
        MemorySegment values = buffer(1).reinterpret(Long.MAX_VALUE);
        long at = offset() + row;
        return switch (field.format()) {
            case "b" -> values.get(JAVA_BYTE, at >>> 3) >>> (at & 7) & 1;
            case "c" -> values.get(JAVA_BYTE, at);
            case "C" -> values.get(JAVA_BYTE, at) & 0xff;
            case "s" -> values.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, at);
            case "S" -> values.getAtIndex(ValueLayout.JAVA_CHAR_UNALIGNED, at);
            case "i" -> values.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at);
            case "I" -> values.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at) & 0xffffffffL;
            case "l", "L" -> values.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at);
            default ->
                throw new UnsupportedException(
                        "column " + field.name() + " is " + field.typeName() + " and not an integer");
        };
    }

    /** A floating-point row of any width. */
    public double real(long row) {
        requireRow(row);
        MemorySegment values = buffer(1).reinterpret(Long.MAX_VALUE);
        long at = offset() + row;
        return switch (field.format()) {
            case "e" -> Float.float16ToFloat(values.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, at));
            case "f" -> values.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, at);
            case "g" -> values.getAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, at);
            default ->
                throw new UnsupportedException(
                        "column " + field.name() + " is " + field.typeName() + " and not a floating-point number");
        };
    }

    /** Adds a holder, and returns it: a column for the same memory that is closed by itself. */
    public Column retain() {
        requireOpen();
        lance_h.lt_column_retain(handle);
        return new Column(field, handle, array, null);
    }

    /** The {@code lt_column*}, borrowed for as long as this column is open. */
    public MemorySegment nativeHandle() {
        requireOpen();
        return handle;
    }

    /** Closes this holder without letting go: whoever has {@link #nativeHandle} gives it to {@link #releaseFunction}, once. */
    public void giveUp() {
        requireOpen();
        handle = null;
    }

    /** Lets go; a second close does nothing. */
    @Override
    public void close() {
        if (handle != null && parent == null) {
            lance_h.lt_column_release(handle);
            handle = null;
        }
    }
}
