package io.lancetorch.lance;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Decodes the JPEGs and PNGs of binary columns by one {@link ImageTransform}. A call allocates nothing. Any thread, many at
 * once for parts of one column.
 */
public final class ImageDecoder {
    private static final ThreadLocal<MemorySegment> ERROR =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(Status.ERROR_SIZE, 8));

    private static final Arena GLOBAL = Arena.global();
    private static final MemorySegment BINARY = GLOBAL.allocateFrom("z");
    private static final MemorySegment LARGE_BINARY = GLOBAL.allocateFrom("Z");
    private static final MemorySegment UTF8 = GLOBAL.allocateFrom("u");
    private static final MemorySegment LARGE_UTF8 = GLOBAL.allocateFrom("U");

    private final ImageTransform transform;
    private final MemorySegment options;

    /** {@code seed}: of what is random in the transform, together with each row's key. */
    public ImageDecoder(ImageTransform transform, long seed) {
        NativeLibraries.lance();
        this.transform = transform;
        options = transform.options(Arena.ofAuto(), seed);
    }

    public ImageTransform transform() {
        return transform;
    }

    /**
     * Decodes the images in rows {@code first} to {@code first + count} - 1 of {@code column}, and writes them to {@code
     * pixels} densely in the order row, y, x, RGB. The transform must not be random.
     *
     * @throws CorruptDataException for a row that is no image, is cut short, is too large, or is null; its
     *     {@link CorruptDataException#row} says which, counted within the column; rows before it are written
     * @throws UnsupportedException for an image that is neither a JPEG nor a PNG, and for a column that is not binary
     * @throws InvalidArgumentException for rows beyond the column, or too little memory at {@code pixels}
     */
    public void decode(Column column, long first, long count, MemorySegment pixels) {
        decode(column, first, count, MemorySegment.NULL, MemorySegment.NULL, pixels);
    }

    /**
     * As {@link #decode(Column, long, long, MemorySegment)}. {@code keys}: {@code count} values of 8 bytes that tell rows
     * apart, or NULL where the transform is not random. {@code codes}: NULL, or room for {@code count} values of 4 bytes;
     * then a row that cannot be decoded is no exception, but has another code than 0, and pixels of 0.
     */
    public void decode(
            Column column, long first, long count, MemorySegment keys, MemorySegment codes, MemorySegment pixels) {
        requireRoom(keys, count, 8, "keys");
        requireRoom(codes, count, 4, "codes");
        if (!pixels.isNative() || pixels.isReadOnly()) {
            throw new InvalidArgumentException("images are decoded into native memory that may be written");
        }
        MemorySegment error = ERROR.get();
        int status = lance_h.lt_image_decode(
                column.array(), format(column), first, count, options, keys, codes, pixels, pixels.byteSize(), error);
        if (status != 0) {
            Status.check(status, error, "column " + column.field().name());
        }
    }

    private static void requireRoom(MemorySegment values, long count, int size, String name) {
        if (!values.isNative() || values.address() != 0 && values.byteSize() / size < count) {
            throw new InvalidArgumentException(values.byteSize() + " bytes at " + name + " for " + count + " rows of "
                    + size + " bytes of native memory");
        }
    }

    private static MemorySegment format(Column column) {
        return switch (column.field().format()) {
            case "z" -> BINARY;
            case "Z" -> LARGE_BINARY;
            case "u" -> UTF8;
            case "U" -> LARGE_UTF8;
            default ->
                throw new UnsupportedException("column " + column.field().name() + " is "
                        + column.field().typeName() + "; images are decoded from binary");
        };
    }

    /**
     * Turns decoded bytes, {@code count} images densely, into the floats that a decode would have made.
     *
     * @throws InvalidArgumentException where the memory is not of {@code count} images
     */
    public void toFloats(MemorySegment bytes, long count, MemorySegment floats) {
        long size = 3L * transform.height() * transform.width();
        long values = count * size;
        if (!bytes.isNative()
                || !floats.isNative()
                || count > Long.MAX_VALUE / size
                || bytes.byteSize() < values
                || floats.byteSize() / ValueLayout.JAVA_FLOAT.byteSize() < values) {
            throw new InvalidArgumentException(bytes.byteSize() + " bytes to " + floats.byteSize()
                    + " bytes of native memory for floats: not " + count + " images of " + transform.width() + " x "
                    + transform.height() + " pixels");
        }
        MemorySegment error = ERROR.get();
        int status = lance_h.lt_image_to_floats(bytes, values / 3, options, floats, error);
        if (status != 0) {
            Status.check(status, error);
        }
    }
}
