package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.testing.TestData;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Against what Pillow and torchvision made of the same images: src/test/python/make_fixtures.py. */
class ImageLoadingTest {
    @TempDir
    private Path folder;

    /** The tensor [images, 3, size, size] that a loader makes of encoded images, as its values in that order. */
    private float[] load(List<byte[]> images, ImageTransform transform) {
        String uri = folder.resolve("images-" + System.nanoTime()).toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"))).open()) {
            images.forEach(writer::append);
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri);
                var loader = DataLoader.of(dataset)
                        .image("image", transform)
                        .batchSize(images.size())
                        .open()) {
            return loader.iterator().next().get("image").toFloats();
        }
    }

    private static byte[] image(String name) throws IOException {
        return Files.readAllBytes(TestData.resource("images/" + name));
    }

    /** The reference, times 255, in the order channel, y, x. Read by the JDK, which has no part in what is tested. */
    private static float[] reference(String name, int size) throws IOException {
        BufferedImage image = ImageIO.read(TestData.resource("images/" + name).toFile());
        assertThat(image.getWidth()).isEqualTo(size);
        assertThat(image.getHeight()).isEqualTo(size);
        float[] values = new float[3 * size * size];
        for (int channel = 0; channel < 3; channel++) {
            for (int y = 0; y < size; y++) {
                for (int x = 0; x < size; x++) {
                    values[(channel * size + y) * size + x] = image.getRGB(x, y) >> 8 * (2 - channel) & 0xff;
                }
            }
        }
        return values;
    }

    private static void assertAgrees(String what, float[] ours, float[] reference) {
        assertThat(ours).hasSameSizeAs(reference);
        double sum = 0;
        double most = 0;
        for (int i = 0; i < ours.length; i++) {
            double difference = Math.abs(255.0 * ours[i] - reference[i]);
            sum += difference;
            most = Math.max(most, difference);
        }
        double mean = sum / ours.length;
        System.out.printf("image transform, %s: mean %.4f / 255, max %.2f / 255%n", what, mean, most);
        assertThat(mean).as("mean difference of %s, of 255", what).isLessThanOrEqualTo(1);
        assertThat(most).as("largest difference of %s, of 255", what).isLessThanOrEqualTo(4);
    }

    @ParameterizedTest
    @CsvSource({"dress, 64", "hat, 64", "pants, 64", "shoes, 64", "dress, 224"})
    void photographsAgreeWithPillowAndTorchvision(String name, int size) throws IOException {
        assertAgrees(
                name + " at " + size,
                load(List.of(image(name + ".jpg")), ImageTransform.resize(size, size)),
                reference(name + "-" + size + ".png", size));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"gray.jpg", "cmyk.jpg", "progressive.jpg", "rgb.png", "alpha.png", "palette.png", "tiny.jpg"})
    void oddImagesAgreeWithPillowAndTorchvision(String name) throws IOException {
        assertAgrees(
                name,
                load(List.of(image(name)), ImageTransform.resize(32, 32)),
                reference(name.replace('.', '-') + "-32.png", 32));
    }

    @Test
    void manyImagesInOneBatchAreEachWhatTheyAreAlone() throws IOException {
        List<byte[]> images = List.of(image("dress.jpg"), image("gray.jpg"), image("hat.jpg"), image("alpha.png"));
        ImageTransform transform = ImageTransform.resize(24, 40);
        float[] together = load(images, transform);
        for (int i = 0; i < images.size(); i++) {
            int size = 3 * 24 * 40;
            assertThat(Arrays.copyOfRange(together, i * size, (i + 1) * size))
                    .isEqualTo(load(List.of(images.get(i)), transform));
        }
    }

    @Test
    void bytesAndFloatsAgree() throws IOException {
        List<byte[]> images = List.of(image("shoes.jpg"));
        float[] floats = load(images, ImageTransform.resize(50, 60));
        float[] bytes = load(images, ImageTransform.resize(50, 60).uint8());
        for (int i = 0; i < floats.length; i++) {
            assertThat(floats[i]).isEqualTo(bytes[i] / 255);
        }
    }

    @Test
    void imageLargerThanAllowedIsRefusedBeforeItIsDecoded() throws IOException {
        var limited = ImageTransform.resize(8, 8).maxPixels(1000);
        byte[] photograph = image("dress.jpg");
        assertThatThrownBy(() -> load(List.of(photograph), limited))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("1000");
        assertThat(load(List.of(image("tiny.jpg")), limited)).hasSize(192);
    }

    @Test
    void imageCutShortIsRefusedAsPillowDoes() throws IOException {
        byte[] photograph = image("hat.jpg");
        for (int length : new int[] {1, 2, 100, 600, photograph.length / 2, photograph.length - 200}) {
            assertThatThrownBy(() -> load(List.of(Arrays.copyOf(photograph, length)), ImageTransform.resize(8, 8)))
                    .as("%d of %d bytes", length, photograph.length)
                    .isInstanceOf(CorruptDataException.class);
        }
    }

    @Test
    void damagedImagesAreDecodedOrRefusedButNeverEndTheProcess() throws IOException {
        String uri = folder.resolve("damaged").toString();
        var random = new Random(5);
        int count = 200;
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"))).open()) {
            List<byte[]> whole = List.of(
                    image("gray.jpg"),
                    image("progressive.jpg"),
                    image("cmyk.jpg"),
                    image("alpha.png"),
                    image("palette.png"));
            for (int i = 0; i < count; i++) {
                byte[] damaged = whole.get(i % whole.size()).clone();
                for (int flips = 0; flips < 4; flips++) {
                    damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
                }
                writer.append((Object) damaged);
            }
            writer.finish();
        }
        List<ImageDecoder> decoders = Stream.of(
                        ImageTransform.resize(16, 16),
                        ImageTransform.resize(16, 16).applyOrientation().fast(),
                        ImageTransform.centerCrop(20, 16, 12),
                        ImageTransform.randomResizedCrop(16, 16).flip(0.5).fast())
                .map(transform -> new ImageDecoder(transform.uint8().maxPixels(1 << 20), 7))
                .toList();
        int refused = 0;
        try (var dataset = LanceDataset.open(uri);
                RecordBatch batch =
                        dataset.take(java.util.stream.LongStream.range(0, count).toArray());
                Arena arena = Arena.ofConfined()) {
            var pixels = arena.allocate(3 * 16 * 16);
            var keys = arena.allocate(8);
            for (ImageDecoder decoder : decoders) {
                for (int i = 0; i < count; i++) {
                    try {
                        decoder.decode(batch.column("image"), i, 1, keys, MemorySegment.NULL, pixels);
                    } catch (LanceTorchException e) {
                        refused++;
                    }
                }
            }
        }
        assertThat(refused).isBetween(20 * decoders.size(), count * decoders.size());
    }

    @Test
    void encodedImageIsDecodedToWhatItWas() {
        int height = 20;
        int width = 30;
        byte[] pixels = new byte[3 * height * width];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                pixels[3 * (y * width + x)] = (byte) (8 * x);
                pixels[3 * (y * width + x) + 1] = (byte) (10 * y);
                pixels[3 * (y * width + x) + 2] = (byte) 128;
            }
        }
        byte[] jpeg = ImageCodec.encodeJpeg(pixels, height, width, 100);
        float[] decoded =
                load(List.of(jpeg), ImageTransform.resize(height, width).uint8());
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                assertThat(decoded[y * width + x]).isBetween(8 * x - 12f, 8 * x + 12f);
                assertThat(decoded[(height + y) * width + x]).isBetween(10 * y - 12f, 10 * y + 12f);
            }
        }
        assertThat(ImageCodec.encodeJpeg(pixels, height, width, 10)).hasSizeLessThan(jpeg.length);
        assertThatThrownBy(() -> ImageCodec.encodeJpeg(pixels, 1, 1, 90)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> ImageCodec.encodeJpeg(pixels, height, width, 101))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void tooLittleMemoryIsRefused() throws IOException {
        String uri = folder.resolve("one").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"))).open()) {
            writer.append((Object) image("tiny.jpg"));
            writer.finish();
        }
        var decoder = new ImageDecoder(ImageTransform.resize(8, 8).uint8(), 0);
        try (var dataset = LanceDataset.open(uri);
                RecordBatch batch = dataset.take(new long[] {0});
                Arena arena = Arena.ofConfined()) {
            var pixels = arena.allocate(3 * 8 * 8);
            var column = batch.column("image");
            assertThatThrownBy(() -> decoder.decode(column, 0, 1, pixels.asSlice(1)))
                    .isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> decoder.decode(column, 0, 2, pixels)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> decoder.decode(column, -1, 1, pixels))
                    .isInstanceOf(InvalidArgumentException.class);
        }
    }

    /** Reads all 1,000 photographs where they are there; the issue's own data set. */
    @Test
    void thousandRealPhotographsAreEachReadOnceByTwoRanks() throws IOException {
        Path photographs = TestData.photographs();
        List<Path> files;
        try (var walk = Files.walk(photographs)) {
            files = walk.filter(path -> path.toString().endsWith(".jpg"))
                    .sorted()
                    .toList();
        }
        String uri = folder.resolve("photographs").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"), Field.int64("label")))
                .maxRowsPerFile(130)
                .open()) {
            for (int i = 0; i < files.size(); i++) {
                writer.append(Files.readAllBytes(files.get(i)), (long) i);
            }
            writer.finish();
        }
        int[] seen = new int[files.size()];
        try (var dataset = LanceDataset.open(uri)) {
            for (int rank = 0; rank < 2; rank++) {
                try (var loader = DataLoader.of(dataset)
                        .image("image", ImageTransform.resize(64, 64))
                        .sampler(new ShardedBatchSampler())
                        .batchSize(32)
                        .rank(rank, 2)
                        .open()) {
                    for (Batch batch : loader) {
                        long[] labels = batch.get("label").toLongs();
                        for (int i = 0; i < batch.validRows(); i++) {
                            seen[(int) labels[i]]++;
                        }
                        try (Tensor largest = Ops.max(batch.get("image"))) {
                            assertThat(largest.item()).isBetween(0.2, 1.0);
                        }
                    }
                }
            }
        }
        assertThat(seen).containsOnly(1);
    }
}
