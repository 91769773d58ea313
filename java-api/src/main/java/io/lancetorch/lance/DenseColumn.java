package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;

/** Arrow arrays without nulls over memory that holds values of a fixed width, one after the other. */
final class DenseColumn {
    private DenseColumn() {}

    /** The {@code ArrowArray} of {@code rows} rows of {@code field} whose values lie at {@code values}. */
    static MemorySegment array(Field field, MemorySegment values, long rows, SegmentAllocator allocator) {
        long rowBytes = rowBytes(field, field);
        if (rows > Long.MAX_VALUE / Math.max(1, rowBytes)) {
            throw new InvalidArgumentException(rows + " rows of column " + field.name() + ", " + field.typeName());
        }
        long bytes = rows * rowBytes;
        if (!values.isNative() || values.byteSize() != bytes) {
            throw new InvalidArgumentException(
                    (values.isNative() ? values.byteSize() + " bytes" : "an array of the Java heap") + " for " + rows
                            + " rows of column " + field.name() + ", " + field.typeName() + ": needed are " + bytes
                            + " bytes of native memory");
        }
        return array(field, values, rows, 1, allocator);
    }

    private static MemorySegment array(
            Field field, MemorySegment values, long rows, long perRow, SegmentAllocator allocator) {
        boolean list = field.listSize() >= 0;
        MemorySegment array = ArrowArray.allocate(allocator);
        array.fill((byte) 0);
        ArrowArray.release(array, BorrowedArrow.RELEASE);
        ArrowArray.length(array, rows * perRow);
        MemorySegment buffers = allocator.allocate(ADDRESS, 2);
        ArrowArray.n_buffers(array, list ? 1 : 2);
        ArrowArray.buffers(array, buffers);
        if (list) {
            Field item = field.children().getFirst();
            MemorySegment children = allocator.allocate(ADDRESS);
            children.set(ADDRESS, 0, array(item, values, rows, perRow * field.listSize(), allocator));
            ArrowArray.n_children(array, 1);
            ArrowArray.children(array, children);
        } else {
            buffers.setAtIndex(ADDRESS, 1, values);
        }
        return array;
    }

    private static long rowBytes(Field field, Field column) {
        if (field.listSize() >= 0) {
            return Math.multiplyExact(
                    field.listSize(), rowBytes(field.children().getFirst(), column));
        }
        return switch (field.format()) {
            case "c", "C" -> 1;
            case "s", "S", "e" -> 2;
            case "i", "I", "f" -> 4;
            case "l", "L", "g" -> 8;
            default ->
                throw new UnsupportedException("column " + column.name() + " is " + column.typeName()
                        + ", whose values have no fixed width in bytes: give it as a Column");
        };
    }
}
