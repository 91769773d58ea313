package io.lancetorch.data;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_CHAR_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import java.lang.foreign.MemorySegment;

/** The rows of a column of lists of integers, copied as int64. Any thread, as long as the column is open. */
final class TokenReader {
    private final Column column;
    private final String format;
    private final MemorySegment values;

    /**
     * @throws UnsupportedException where it is no such column
     * @throws io.lancetorch.error.CorruptDataException for a null
     */
    TokenReader(Column column) {
        requireTokens(column.field());
        this.column = column;
        Column child = column.child(0);
        format = child.field().format();
        ColumnTensors.requireNoNull(column, 0, column.length(), 1, column);
        long begin = begin(0);
        long count = begin(column.length()) - begin;
        ColumnTensors.requireNoNull(child, begin, count, Math.max(1, count), column);
        long width = width(format);
        MemorySegment buffer = child.buffer(1);
        values = MemorySegment.ofAddress(buffer.address() + child.offset() * width)
                .reinterpret(Math.max(0, begin + count) * width);
    }

    static void requireTokens(Field field) {
        boolean list = field.listSize() >= 0 || field.format().equalsIgnoreCase("+l");
        if (!list || width(field.children().getFirst().format()) == 0) {
            throw new UnsupportedException("column " + field.name() + " is " + field.typeName()
                    + "; tokens are a list of integers, such as list<int32>, in each row");
        }
    }

    private static int width(String format) {
        return switch (format) {
            case "c", "C" -> 1;
            case "s", "S" -> 2;
            case "i", "I" -> 4;
            case "l" -> 8;
            default -> 0;
        };
    }

    private long begin(long row) {
        int size = column.field().listSize();
        return size >= 0 ? (column.offset() + row) * size : column.listOffset(row);
    }

    /** How many values a row has. */
    long length(long row) {
        long length = begin(row + 1) - begin(row);
        if (length < 0) {
            throw new CorruptDataException(
                    "row " + row + " of column " + column.field().name() + " has " + length + " values", row);
        }
        return length;
    }

    /** Copies {@code count} values of a row, from {@code from} on, to place {@code at} of int64s. */
    void copy(long row, long from, int count, MemorySegment target, long at) {
        long first = begin(row) + from;
        MemorySegment source = values;
        // One loop for each width, so that the compiler makes vector code of it.
        switch (format) {
            case "l" -> MemorySegment.copy(source, 8 * first, target, 8 * at, 8L * count);
            case "i" -> {
                for (int i = 0; i < count; i++) {
                    target.setAtIndex(JAVA_LONG, at + i, source.getAtIndex(JAVA_INT_UNALIGNED, first + i));
                }
            }
            case "I" -> {
                for (int i = 0; i < count; i++) {
                    target.setAtIndex(
                            JAVA_LONG, at + i, source.getAtIndex(JAVA_INT_UNALIGNED, first + i) & 0xffffffffL);
                }
            }
            case "s" -> {
                for (int i = 0; i < count; i++) {
                    target.setAtIndex(JAVA_LONG, at + i, source.getAtIndex(JAVA_SHORT_UNALIGNED, first + i));
                }
            }
            case "S" -> {
                for (int i = 0; i < count; i++) {
                    target.setAtIndex(JAVA_LONG, at + i, source.getAtIndex(JAVA_CHAR_UNALIGNED, first + i));
                }
            }
            default -> {
                int mask = format.equals("C") ? 0xff : -1;
                for (int i = 0; i < count; i++) {
                    target.setAtIndex(JAVA_LONG, at + i, source.get(JAVA_BYTE, first + i) & mask);
                }
            }
        }
    }

    /** Sets {@code count} int64s from place {@code at} on. */
    static void fill(MemorySegment target, long at, long count, long value) {
        for (long i = at; i < at + count; i++) {
            target.setAtIndex(JAVA_LONG, i, value);
        }
    }
}
