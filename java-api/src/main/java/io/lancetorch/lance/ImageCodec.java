package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_image_options;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** JPEG and PNG images in binary columns. Any thread, many at once. */
public final class ImageCodec {
    private ImageCodec() {}

    /** The form of a decoded channel. */
    public enum Pixel {
        /** 0 to 255. */
        UINT8(1),
        /** 0 to 1, the byte divided by 255. */
        FLOAT32(4);

        private final int size;

        Pixel(int size) {
            this.size = size;
        }

        /** Bytes of one channel of one pixel. */
        public int size() {
            return size;
        }
    }

    /** {@code maxPixels}: of an encoded image, against images that are small files and large memories; 0: 178,956,970. */
    public record Options(int height, int width, Pixel pixel, boolean applyOrientation, long maxPixels) {
        /** Bytes of one decoded image. */
        public long imageBytes() {
            return 3L * height * width * pixel.size();
        }
    }

    /**
     * Decodes the images in rows {@code first} to {@code first + count} - 1 of {@code column}, resizes each by the
     * antialiased bilinear filter of Pillow, and writes them to {@code pixels} densely in the order row, y, x, RGB.
     *
     * @throws CorruptDataException for a row that is no image, is cut short, is too large, or is null; its
     *     {@link CorruptDataException#row} says which, counted within the column; rows before it are written
     * @throws InvalidArgumentException for rows beyond the column, or too little memory at {@code pixels}
     */
    public static void decode(Column column, long first, long count, Options options, MemorySegment pixels) {
        NativeLibraries.lance();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment struct = lt_image_options.allocate(arena);
            lt_image_options.height(struct, options.height());
            lt_image_options.width(struct, options.width());
            lt_image_options.dtype(struct, options.pixel().ordinal());
            lt_image_options.apply_orientation(struct, options.applyOrientation() ? 1 : 0);
            lt_image_options.max_pixels(struct, options.maxPixels());
            Status.check(
                    lance_h.lt_image_decode(
                            column.array(),
                            arena.allocateFrom(column.field().format()),
                            first,
                            count,
                            struct,
                            pixels,
                            pixels.byteSize(),
                            error),
                    error,
                    "column " + column.field().name());
        }
    }

    /**
     * Encodes one RGB image, {@code height * width * 3} bytes in the order y, x, channel, as a JPEG.
     *
     * @throws InvalidArgumentException for sizes that do not fit, or a quality not in 1 to 100
     */
    public static byte[] encodeJpeg(byte[] rgb, int height, int width, int quality) {
        NativeLibraries.lance();
        if (height < 1 || width < 1 || rgb.length != 3L * height * width) {
            throw new InvalidArgumentException(
                    rgb.length + " bytes are no RGB image of " + width + " x " + height + " pixels");
        }
        long capacity = rgb.length * 2L + 4096;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment pixels = arena.allocateFrom(JAVA_BYTE, rgb);
            MemorySegment jpeg = arena.allocate(capacity);
            MemorySegment size = arena.allocate(JAVA_LONG);
            Status.check(
                    lance_h.lt_image_encode_jpeg(pixels, height, width, quality, jpeg, capacity, size, error), error);
            return jpeg.asSlice(0, size.get(JAVA_LONG, 0)).toArray(JAVA_BYTE);
        }
    }

    /** Unpacks {@code count} bits, from bit {@code offset} on, to a byte 0 or 1 each. */
    public static void unpackBits(MemorySegment bits, long offset, long count, MemorySegment bytes) {
        NativeLibraries.lance();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            Status.check(lance_h.lt_bits_unpack(bits, offset, count, bytes, error), error);
        }
    }
}
