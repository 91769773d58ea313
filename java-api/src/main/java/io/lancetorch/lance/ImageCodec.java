package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Encodes JPEGs, and unpacks bits. Any thread, many at once. {@link ImageDecoder} is the way back. */
public final class ImageCodec {
    private ImageCodec() {}

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

    /**
     * Unpacks {@code count} bits, from bit {@code offset} on, to a byte 0 or 1 each.
     *
     * @throws InvalidArgumentException where there are not so many, or is no room for them
     */
    public static void unpackBits(MemorySegment bits, long offset, long count, MemorySegment bytes) {
        NativeLibraries.lance();
        if (offset < 0
                || count < 0
                || count > bytes.byteSize()
                || offset > Long.MAX_VALUE - count
                || (offset + count) / 8 + ((offset + count) % 8 == 0 ? 0 : 1) > bits.byteSize()) {
            throw new InvalidArgumentException(count + " bits from bit " + offset + " on, of " + bits.byteSize()
                    + " bytes, to " + bytes.byteSize() + " bytes");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            Status.check(lance_h.lt_bits_unpack(bits, offset, count, bytes, error), error);
        }
    }
}
