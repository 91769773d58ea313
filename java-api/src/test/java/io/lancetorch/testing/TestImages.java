package io.lancetorch.testing;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;

/** Datasets of images whose pixels tell which row they are. */
public final class TestImages {
    private TestImages() {}

    /** A JPEG of 16 x 16 pixels of one gray. */
    public static byte[] gray(int value) {
        byte[] pixels = new byte[3 * 16 * 16];
        Arrays.fill(pixels, (byte) value);
        return ImageCodec.encodeJpeg(pixels, 16, 16, 95);
    }

    /** A JPEG whose red grows to the right and whose green grows downwards, so that parts of it can be told apart. */
    public static byte[] ramp(int height, int width, int blue) {
        byte[] pixels = new byte[3 * height * width];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int at = 3 * (y * width + x);
                pixels[at] = (byte) (255 * x / (width - 1));
                pixels[at + 1] = (byte) (255 * y / (height - 1));
                pixels[at + 2] = (byte) blue;
            }
        }
        return ImageCodec.encodeJpeg(pixels, height, width, 95);
    }

    /**
     * Rows of an id and of {@link #gray} of that id (at most 255 of them), in fragments of {@code rowsPerFragment}; the images of
     * {@code bad} are no images. The caller closes it.
     */
    public static LanceDataset grays(Path path, int rows, int rowsPerFragment, Set<Integer> bad) {
        try (var writer = LanceWriter.to(path.toString(), Schema.of(Field.int64("id"), Field.binary("image")))
                .maxRowsPerFile(rowsPerFragment)
                .open()) {
            for (int i = 0; i < rows; i++) {
                writer.append((long) i, bad.contains(i) ? "no image".getBytes(StandardCharsets.US_ASCII) : gray(i));
            }
            writer.finish();
        }
        return LanceDataset.open(path.toString());
    }
}
