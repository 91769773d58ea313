package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.reflect.Array;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Collects the values of one column, to be written as an Arrow array. */
abstract class ColumnBuilder {
    final Field field;
    private byte[] data = new byte[1024];
    private int size;
    private byte[] validity = new byte[64];
    private long count;
    private long nulls;

    private ColumnBuilder(Field field) {
        this.field = field;
    }

    static ColumnBuilder of(Field field) {
        return switch (field.format()) {
            case "b" -> new Bits(field);
            case "C", "i", "l", "e", "f", "g" -> new Numbers(field);
            case "z", "u", "Z", "U" -> new Bytes(field);
            default -> {
                if (field.listSize() > 0) {
                    yield new Lists(field);
                }
                if (field.format().equals("+l")) {
                    yield new VariableLists(field);
                }
                throw new UnsupportedException("column " + field.name() + " is " + field.typeName()
                        + ", which rows cannot be appended to; write an Arrow C stream with writeStream");
            }
        };
    }

    /** Throws where {@code value} does not fit. */
    abstract void check(Object value);

    /** Adds a value that {@link #check} let pass. */
    void append(Object value) {
        if (count >>> 3 >= validity.length) {
            validity = Arrays.copyOf(validity, 2 * validity.length);
        }
        if (value == null) {
            nulls++;
            appendNull();
        } else {
            validity[(int) (count >>> 3)] |= (byte) (1 << (count & 7));
            appendValue(value);
        }
        count++;
    }

    abstract void appendNull();

    abstract void appendValue(Object value);

    abstract MemorySegment array(SegmentAllocator allocator, long rows);

    long bytes() {
        return size;
    }

    void clear() {
        Arrays.fill(validity, (byte) 0);
        size = 0;
        count = 0;
        nulls = 0;
    }

    final InvalidArgumentException misfit(Object value) {
        return new InvalidArgumentException(
                "a " + value.getClass().getSimpleName() + " for column " + field.name() + " of " + field.typeName());
    }

    /** Makes room for {@code bytes} more, and returns where they go. */
    final int room(int bytes) {
        int at = size;
        if (at + (long) bytes > Integer.MAX_VALUE - 8) {
            throw new InvalidArgumentException("column " + field.name() + " has more than 2 GiB in one batch");
        }
        if (at + bytes > data.length) {
            data = Arrays.copyOf(data, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(2L * data.length, at + bytes)));
        }
        size += bytes;
        return at;
    }

    final MemorySegment struct(SegmentAllocator allocator, long length, MemorySegment... buffers) {
        MemorySegment pointers = allocator.allocate(ADDRESS, buffers.length + 1);
        if (nulls > 0) {
            pointers.setAtIndex(ADDRESS, 0, copy(allocator, validity, (int) (count + 7 >>> 3)));
        }
        for (int i = 0; i < buffers.length; i++) {
            pointers.setAtIndex(ADDRESS, i + 1, buffers[i]);
        }
        MemorySegment array = ArrowArray.allocate(allocator);
        array.fill((byte) 0);
        ArrowArray.release(array, BorrowedArrow.RELEASE);
        ArrowArray.length(array, length);
        ArrowArray.null_count(array, nulls);
        ArrowArray.n_buffers(array, buffers.length + 1);
        ArrowArray.buffers(array, pointers);
        return array;
    }

    final MemorySegment values(SegmentAllocator allocator) {
        return copy(allocator, data, size);
    }

    private static MemorySegment copy(SegmentAllocator allocator, byte[] bytes, int size) {
        MemorySegment segment = allocator.allocate(Math.max(8, size), 64);
        MemorySegment.copy(bytes, 0, segment, JAVA_BYTE, 0, size);
        return segment;
    }

    private static final class Numbers extends ColumnBuilder {
        private final int width;

        Numbers(Field field) {
            super(field);
            width = width(field.format());
        }

        static int width(String format) {
            return switch (format) {
                case "C" -> 1;
                case "e" -> 2;
                case "i", "f" -> 4;
                default -> 8;
            };
        }

        @Override
        void check(Object value) {
            if (value != null && !(value instanceof Number)) {
                throw misfit(value);
            }
            if (value instanceof Number number) {
                long integer = number.longValue();
                boolean whole = !(value instanceof Double || value instanceof Float);
                boolean fits =
                        switch (field.format()) {
                            case "C" -> whole && integer >= -128 && integer <= 255;
                            case "e" -> value instanceof Short;
                            case "i" -> whole && integer == (int) integer;
                            case "l" -> whole;
                            default -> true;
                        };
                if (!fits) {
                    throw new InvalidArgumentException("the " + value.getClass().getSimpleName() + " " + value
                            + " does not fit column " + field.name() + " of " + field.typeName());
                }
            }
        }

        @Override
        void appendNull() {
            int at = room(width);
            Arrays.fill(super.data, at, at + width, (byte) 0);
        }

        @Override
        void appendValue(Object value) {
            Number number = (Number) value;
            MemorySegment target = null;
            int at = room(width);
            target = MemorySegment.ofArray(super.data);
            switch (field.format()) {
                case "C" -> super.data[at] = number.byteValue();
                case "e" -> target.set(JAVA_SHORT_UNALIGNED, at, number.shortValue());
                case "i" -> target.set(JAVA_INT_UNALIGNED, at, number.intValue());
                case "f" -> target.set(JAVA_FLOAT_UNALIGNED, at, number.floatValue());
                case "g" -> target.set(JAVA_DOUBLE_UNALIGNED, at, number.doubleValue());
                default -> target.set(JAVA_LONG_UNALIGNED, at, number.longValue());
            }
        }

        @Override
        MemorySegment array(SegmentAllocator allocator, long rows) {
            return struct(allocator, rows, values(allocator));
        }
    }

    private static final class Bits extends ColumnBuilder {
        Bits(Field field) {
            super(field);
        }

        @Override
        void check(Object value) {
            if (value != null && !(value instanceof Boolean)) {
                throw misfit(value);
            }
        }

        @Override
        void appendNull() {
            appendValue(false);
        }

        @Override
        void appendValue(Object value) {
            int at = room(1);
            super.data[at] = (byte) ((Boolean) value ? 1 : 0);
        }

        @Override
        MemorySegment array(SegmentAllocator allocator, long rows) {
            MemorySegment bits = allocator.allocate(Math.max(8, rows + 7 >>> 3), 64);
            for (int i = 0; i < rows; i++) {
                if (super.data[i] != 0) {
                    bits.set(JAVA_BYTE, i >>> 3, (byte) (bits.get(JAVA_BYTE, i >>> 3) | 1 << (i & 7)));
                }
            }
            return struct(allocator, rows, bits);
        }
    }

    private static final class Bytes extends ColumnBuilder {
        private final boolean text;
        /** Whether Arrow's offsets have 64 bits. */
        private final boolean large;

        private int[] ends = new int[256];
        private int rows;

        Bytes(Field field) {
            super(field);
            text = field.format().equalsIgnoreCase("u");
            large = Character.isUpperCase(field.format().charAt(0));
        }

        @Override
        void check(Object value) {
            boolean fits = value == null
                    || (text ? value instanceof String : value instanceof byte[] || value instanceof MemorySegment);
            if (!fits) {
                throw misfit(value);
            }
        }

        @Override
        void appendNull() {
            end();
        }

        @Override
        void appendValue(Object value) {
            switch (value) {
                case String text -> copyIn(MemorySegment.ofArray(text.getBytes(StandardCharsets.UTF_8)));
                case byte[] bytes -> copyIn(MemorySegment.ofArray(bytes));
                default -> copyIn((MemorySegment) value);
            }
            end();
        }

        private void copyIn(MemorySegment bytes) {
            if (bytes.byteSize() > Integer.MAX_VALUE - 8) {
                throw new InvalidArgumentException(bytes.byteSize() + " bytes in one row of column " + field.name());
            }
            int at = room((int) bytes.byteSize());
            MemorySegment.copy(bytes, JAVA_BYTE, 0, super.data, at, (int) bytes.byteSize());
        }

        private void end() {
            if (rows == ends.length) {
                ends = Arrays.copyOf(ends, 2 * rows);
            }
            ends[rows++] = super.size;
        }

        @Override
        void clear() {
            super.clear();
            rows = 0;
        }

        @Override
        MemorySegment array(SegmentAllocator allocator, long count) {
            MemorySegment offsets = allocator.allocate((large ? 8 : 4) * (count + 1), 64);
            if (large) {
                for (int i = 0; i < count; i++) {
                    offsets.setAtIndex(JAVA_LONG_UNALIGNED, i + 1L, ends[i]);
                }
            } else {
                MemorySegment.copy(ends, 0, offsets, JAVA_INT_UNALIGNED, 4, (int) count);
            }
            return struct(allocator, count, offsets, values(allocator));
        }
    }

    private static final class Lists extends ColumnBuilder {
        private final int length;
        private final Class<?> component;
        private final int width;

        Lists(Field field) {
            super(field);
            length = field.listSize();
            component = component(field);
            width = Numbers.width(field.children().getFirst().format());
        }

        /** The type of Java's arrays of a list's values. */
        static Class<?> component(Field field) {
            return switch (field.children().getFirst().format()) {
                case "C" -> byte.class;
                case "e" -> short.class;
                case "i" -> int.class;
                case "l" -> long.class;
                case "f" -> float.class;
                case "g" -> double.class;
                default ->
                    throw new UnsupportedException("column " + field.name() + " is " + field.typeName()
                            + ", which rows cannot be appended to; write an Arrow C stream with writeStream");
            };
        }

        /** The memory of such an array. */
        static MemorySegment memory(Object array) {
            return switch (array) {
                case byte[] values -> MemorySegment.ofArray(values);
                case short[] values -> MemorySegment.ofArray(values);
                case int[] values -> MemorySegment.ofArray(values);
                case long[] values -> MemorySegment.ofArray(values);
                case float[] values -> MemorySegment.ofArray(values);
                default -> MemorySegment.ofArray((double[]) array);
            };
        }

        @Override
        void check(Object value) {
            if (value == null) {
                return;
            }
            if (value.getClass().componentType() != component) {
                throw misfit(value);
            }
            if (Array.getLength(value) != length) {
                throw new InvalidArgumentException("a list of " + Array.getLength(value) + " values for column "
                        + field.name() + " of " + field.typeName());
            }
        }

        @Override
        void appendNull() {
            int at = room(length * width);
            Arrays.fill(super.data, at, at + length * width, (byte) 0);
        }

        @Override
        void appendValue(Object value) {
            MemorySegment source = memory(value);
            int at = room(length * width);
            MemorySegment.copy(source, 0, MemorySegment.ofArray(super.data), at, source.byteSize());
        }

        @Override
        MemorySegment array(SegmentAllocator allocator, long rows) {
            return ofValues(struct(allocator, rows), rows * length, values(allocator), allocator);
        }

        /** Gives a list its only child: so many values without nulls. */
        static MemorySegment ofValues(
                MemorySegment list, long count, MemorySegment values, SegmentAllocator allocator) {
            MemorySegment pointers = allocator.allocate(ADDRESS, 2);
            pointers.setAtIndex(ADDRESS, 1, values);
            MemorySegment child = ArrowArray.allocate(allocator);
            child.fill((byte) 0);
            ArrowArray.release(child, BorrowedArrow.RELEASE);
            ArrowArray.length(child, count);
            ArrowArray.n_buffers(child, 2);
            ArrowArray.buffers(child, pointers);
            MemorySegment children = allocator.allocate(ADDRESS);
            children.set(ADDRESS, 0, child);
            ArrowArray.n_children(list, 1);
            ArrowArray.children(list, children);
            return list;
        }
    }

    private static final class VariableLists extends ColumnBuilder {
        private final Class<?> component;
        private final int width;
        private int[] ends = new int[256];
        private int rows;

        VariableLists(Field field) {
            super(field);
            component = Lists.component(field);
            width = Numbers.width(field.children().getFirst().format());
        }

        @Override
        void check(Object value) {
            if (value != null && value.getClass().componentType() != component) {
                throw misfit(value);
            }
        }

        @Override
        void appendNull() {
            end();
        }

        @Override
        void appendValue(Object value) {
            MemorySegment source = Lists.memory(value);
            if (source.byteSize() > Integer.MAX_VALUE - 8) {
                throw new InvalidArgumentException(source.byteSize() + " bytes in one row of column " + field.name());
            }
            int at = room((int) source.byteSize());
            MemorySegment.copy(source, 0, MemorySegment.ofArray(super.data), at, source.byteSize());
            end();
        }

        private void end() {
            if (rows == ends.length) {
                ends = Arrays.copyOf(ends, 2 * rows);
            }
            ends[rows++] = super.size / width;
        }

        @Override
        void clear() {
            super.clear();
            rows = 0;
        }

        @Override
        MemorySegment array(SegmentAllocator allocator, long count) {
            MemorySegment offsets = allocator.allocate(4 * (count + 1), 64);
            MemorySegment.copy(ends, 0, offsets, JAVA_INT_UNALIGNED, 4, (int) count);
            return Lists.ofValues(struct(allocator, count, offsets), super.size / width, values(allocator), allocator);
        }
    }
}
