package io.lancetorch.jmh;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/** The datasets that the benchmarks read: made once by {@link Bench}, and opened by its forks. */
final class Inputs {
    /** The system property that tells a fork where the datasets lie. */
    static final String FOLDER = "lancetorch.bench.dir";

    static final int ROWS = 100_000;
    static final int WIDTH = 768;
    static final String VECTOR = "vector";

    static final int PHOTOS = 128;
    static final int LONGER_SIDE = 512;
    static final int QUALITY = 92;
    static final String IMAGE = "image";
    static final String GENERATED = "generated images";
    private static final String SOURCE = "source";

    private Inputs() {}

    /** The dataset of vectors; the caller closes it. */
    static LanceDataset vectors() {
        return open("vectors.lance", ROWS);
    }

    /** The dataset of JPEGs; the caller closes it. */
    static LanceDataset photos() {
        return open("photos.lance", PHOTOS);
    }

    private static LanceDataset open(String name, long rows) {
        String folder = System.getProperty(FOLDER);
        if (folder == null) {
            throw new IllegalStateException("-D" + FOLDER + " is not set: run this by ./lancetorch bench, which makes "
                    + name + " and says where it is");
        }
        LanceDataset dataset = LanceDataset.open(Path.of(folder, name).toString());
        if (dataset.countRows() != rows) {
            String found = dataset.toString();
            dataset.close();
            throw new IllegalStateException(found + " has not the " + rows + " rows of this benchmark: delete it");
        }
        return dataset;
    }

    /** Writes the vectors where they are not there yet. Returns what they are, in words. */
    static String makeVectors(Path folder) {
        String uri = folder.resolve("vectors.lance").toString();
        if (!holds(uri, ROWS, "")) {
            var random = new SplittableRandom(1);
            Schema schema = Schema.of(Field.fixedSizeList(VECTOR, Field.float32("item"), WIDTH));
            try (LanceWriter writer =
                    LanceWriter.to(uri, schema).mode(LanceWriter.Mode.OVERWRITE).open()) {
                float[] vector = new float[WIDTH];
                for (int row = 0; row < ROWS; row++) {
                    for (int i = 0; i < WIDTH; i++) {
                        vector[i] = (float) random.nextDouble(-1, 1);
                    }
                    writer.append((Object) vector);
                }
                writer.finish();
            }
        }
        return String.format(Locale.ROOT, "%,d rows of float32[%d] at %s", ROWS, WIDTH, uri);
    }

    /**
     * Writes the JPEGs, of photographs below {@code photos}, or generated where that is null, where they are not there yet.
     * Returns what they are, in words.
     *
     * @throws NotFoundException where there are no photographs
     */
    static String makePhotos(Path folder, Path photos) throws IOException {
        String uri = folder.resolve("photos.lance").toString();
        String source = photos == null ? GENERATED : photos.toRealPath().toString();
        if (!holds(uri, PHOTOS, source)) {
            writePhotos(uri, source, photos == null ? Inputs::generated : someOf(photos));
        }
        long bytes = 0;
        try (LanceDataset dataset = LanceDataset.open(uri);
                var scan = dataset.scan().columns(IMAGE).batchSize(PHOTOS).open();
                var records = scan.next()) {
            for (int row = 0; row < PHOTOS; row++) {
                bytes += records.column(IMAGE).bytes(row).byteSize();
            }
        }
        return String.format(
                Locale.ROOT,
                "%d JPEGs of %d px and quality %d, %.1f KB each, made of %s",
                PHOTOS,
                LONGER_SIDE,
                QUALITY,
                bytes / 1000.0 / PHOTOS,
                source);
    }

    private static boolean holds(String uri, long rows, String source) {
        try (LanceDataset dataset = LanceDataset.open(uri)) {
            return dataset.countRows() == rows
                    && dataset.schema().metadata().getOrDefault(SOURCE, "").equals(source);
        } catch (NotFoundException _) {
            return false;
        }
    }

    private static void writePhotos(String uri, String source, IntFunction<BufferedImage> images) {
        Schema schema = Schema.of(Field.binary(IMAGE)).withMetadata(Map.of(SOURCE, source));
        try (LanceWriter writer =
                LanceWriter.to(uri, schema).mode(LanceWriter.Mode.OVERWRITE).open()) {
            for (int i = 0; i < PHOTOS; i++) {
                writer.append((Object) jpeg(images.apply(i)));
            }
            writer.finish();
        }
    }

    private static IntFunction<BufferedImage> someOf(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> tree = Files.walk(folder)) {
            files = tree.filter(file -> file.toString().toLowerCase(Locale.ROOT).endsWith(".jpg"))
                    .sorted()
                    .toList();
        }
        if (files.size() < PHOTOS) {
            throw new NotFoundException(
                    files.size() + " photographs (*.jpg) below " + folder + ", where " + PHOTOS + " are needed");
        }
        return i -> {
            Path file = files.get((int) ((long) i * files.size() / PHOTOS));
            try {
                return ImageIO.read(file.toFile());
            } catch (IOException e) {
                throw new java.io.UncheckedIOException("cannot read " + file, e);
            }
        };
    }

    /** Scaled so that its longer side is {@link #LONGER_SIDE}. */
    private static byte[] jpeg(BufferedImage image) {
        double scale = (double) LONGER_SIDE / Math.max(image.getWidth(), image.getHeight());
        int width = Math.max(1, (int) Math.round(image.getWidth() * scale));
        int height = Math.max(1, (int) Math.round(image.getHeight() * scale));
        var scaled = new BufferedImage(width, height, BufferedImage.TYPE_3BYTE_BGR);
        Graphics2D graphics = scaled.createGraphics();
        graphics.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
        graphics.drawImage(image, 0, 0, width, height, null);
        graphics.dispose();
        byte[] pixels = ((DataBufferByte) scaled.getRaster().getDataBuffer()).getData();
        for (int i = 0; i < pixels.length; i += 3) {
            byte blue = pixels[i];
            pixels[i] = pixels[i + 2];
            pixels[i + 2] = blue;
        }
        return ImageCodec.encodeJpeg(pixels, height, width, QUALITY);
    }

    /** Noise of many scales, large ones strong and small ones weak, as in photographs; so its JPEG has about their size. */
    private static BufferedImage generated(int seed) {
        int width = LONGER_SIDE;
        int height = LONGER_SIDE * 3 / 4;
        var random = new SplittableRandom(seed);
        float[][] channels = new float[4][width * height];
        for (float[] channel : channels) {
            float strength = 90;
            for (int cell = 128; cell >= 1; cell /= 2) {
                addNoise(channel, width, height, cell, strength, random);
                strength *= 0.62f;
            }
        }
        var image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < width * height; i++) {
            // Colours share most of their structure, and differ only on a large scale.
            float light = 128 + channels[3][i];
            int red = level(light + channels[0][i] / 4);
            int green = level(light + channels[1][i] / 4);
            int blue = level(light + channels[2][i] / 4);
            image.setRGB(i % width, i / width, red << 16 | green << 8 | blue);
        }
        return image;
    }

    private static int level(float value) {
        return Math.clamp(Math.round(value), 0, 255);
    }

    /** Adds random values on a grid of {@code cell} pixels, and straight lines between them. */
    private static void addNoise(
            float[] channel, int width, int height, int cell, float strength, SplittableRandom random) {
        int columns = width / cell + 2;
        float[] grid = new float[columns * (height / cell + 2)];
        for (int i = 0; i < grid.length; i++) {
            grid[i] = (float) random.nextDouble(-strength, strength);
        }
        for (int y = 0; y < height; y++) {
            float down = (float) (y % cell) / cell;
            for (int x = 0; x < width; x++) {
                float right = (float) (x % cell) / cell;
                int at = y / cell * columns + x / cell;
                float above = grid[at] * (1 - right) + grid[at + 1] * right;
                float below = grid[at + columns] * (1 - right) + grid[at + columns + 1] * right;
                channel[y * width + x] += above * (1 - down) + below * down;
            }
        }
    }
}
