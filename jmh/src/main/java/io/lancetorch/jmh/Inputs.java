package io.lancetorch.jmh;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/** The datasets that the benchmarks read: made once by {@link Bench}, and opened by its forks. */
final class Inputs {
    /** The system property that tells a fork where the datasets of this class lie. */
    static final String FOLDER = "lancetorch.bench.dir";

    /** The system properties that tell it of the loader's images: as a Lance dataset, its column, and as files by class. */
    static final String DATASET = "lancetorch.bench.dataset";

    static final String COLUMN = "lancetorch.bench.column";
    static final String FILES = "lancetorch.bench.files";

    static final int ROWS = 100_000;
    static final int WIDTH = 768;
    static final String VECTOR = "vector";

    static final int PHOTOS = 128;
    static final int IMAGES = 3_000;
    /** Of a dataset of the user's, no more rows than this become files. */
    static final int MOST_FILES = 10_000;

    static final int LONGER_SIDE = 512;
    static final int QUALITY = 92;
    static final String IMAGE = "image";
    static final String LABEL = "label";
    private static final int CLASSES = 10;
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

    /** Writes {@value #PHOTOS} JPEGs as {@link #makeImages} does. Returns what they are, in words. */
    static String makePhotos(Path folder, Path photos) throws IOException {
        return makeJpegs(folder.resolve("photos.lance").toString(), PHOTOS, photos);
    }

    /**
     * Writes {@value #IMAGES} JPEGs, of photographs below {@code photos}, or generated where that is null, with labels, where
     * they are not there yet. Returns what they are, in words.
     *
     * @throws NotFoundException where there are too few photographs
     */
    static String makeImages(Path folder, Path photos) throws IOException {
        return makeJpegs(images(folder), IMAGES, photos);
    }

    /** Where {@link #makeImages} writes. */
    static String images(Path folder) {
        return folder.resolve("images.lance").toString();
    }

    private static String makeJpegs(String uri, int count, Path photos) throws IOException {
        String source = photos == null ? GENERATED : photos.toRealPath().toString();
        if (!holds(uri, count, source)) {
            writePhotos(uri, source, count, photos == null ? generated() : someOf(photos, count));
        }
        long[] bytes = {0};
        try (LanceDataset dataset = LanceDataset.open(uri)) {
            eachRow(
                    dataset,
                    List.of(IMAGE),
                    count,
                    (_, records, row) ->
                            bytes[0] += records.column(IMAGE).bytes(row).byteSize());
        }
        return String.format(
                Locale.ROOT,
                "%,d JPEGs of %d px and quality %d, %.1f KB each, made of %s",
                count,
                LONGER_SIDE,
                QUALITY,
                bytes[0] / 1000.0 / count,
                source);
    }

    private static boolean holds(String uri, long rows, String source) {
        try (LanceDataset dataset = LanceDataset.open(uri)) {
            return dataset.countRows() == rows
                    && (source.isEmpty() || dataset.schema().names().contains(LABEL))
                    && dataset.schema().metadata().getOrDefault(SOURCE, "").equals(source);
        } catch (NotFoundException _) {
            return false;
        }
    }

    /**
     * Writes the images of a dataset as files, {@code <label>/<row>.jpg} below {@link #files}, the first {@value #MOST_FILES} of them, for
     * the peers that read files. Where there is no column of labels, all have one. Files that are there already, of the
     * same version of the dataset, stay. Returns their number.
     */
    static int makeFiles(String uri, String column, Path folder) throws IOException {
        try (LanceDataset dataset = LanceDataset.open(uri)) {
            String origin = dataset.uri() + " version " + dataset.version() + " column " + column;
            int count = (int) Math.min(MOST_FILES, dataset.countRows());
            Path mark = folder.resolve("origin.txt");
            if (Files.exists(mark) && Files.readString(mark).equals(origin)) {
                return count;
            }
            delete(folder);
            boolean labelled = dataset.schema().names().contains(LABEL);
            List<String> columns = labelled ? List.of(column, LABEL) : List.of(column);
            eachRow(dataset, columns, count, (number, records, row) -> {
                byte[] bytes = records.column(column).bytes(row).toArray(JAVA_BYTE);
                long label = labelled ? records.column(LABEL).integer(row) : 0;
                Path directory = Files.createDirectories(files(folder).resolve(String.valueOf(label)));
                Files.write(directory.resolve(number + (bytes[0] == (byte) 0x89 ? ".png" : ".jpg")), bytes);
            });
            Files.writeString(mark, origin);
            return count;
        }
    }

    /** Where {@link #makeFiles} writes; beside it is what else is made of these images. */
    static Path files(Path folder) {
        return folder.resolve("files");
    }

    private interface RowReader {
        /** {@code number}: of the row in the dataset; {@code row}: in {@code records}. */
        void read(int number, RecordBatch records, int row) throws IOException;
    }

    /** Reads the first {@code count} rows. */
    private static void eachRow(LanceDataset dataset, List<String> columns, int count, RowReader reader)
            throws IOException {
        int number = 0;
        try (Scan scan = dataset.scan().columns(columns).batchSize(PHOTOS).open()) {
            while (number < count) {
                try (RecordBatch records = scan.next()) {
                    for (int row = 0; row < records.rows() && number < count; row++) {
                        reader.read(number++, records, row);
                    }
                }
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<Path> tree = Files.walk(folder)) {
                for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(path);
                }
            }
        }
    }

    private static void writePhotos(String uri, String source, int count, Photos photos) {
        Schema schema = Schema.of(Field.binary(IMAGE), Field.int64(LABEL)).withMetadata(Map.of(SOURCE, source));
        List<byte[]> jpegs = new ArrayList<>();
        try (LanceWriter writer =
                LanceWriter.to(uri, schema).mode(LanceWriter.Mode.OVERWRITE).open()) {
            for (int i = 0; i < count; i++) {
                if (i < photos.count) {
                    jpegs.add(jpeg(photos.image.apply(i)));
                }
                writer.append(withComment(jpegs.get(i % photos.count), i), (long) (i % CLASSES));
            }
            writer.finish();
        }
    }

    /** The JPEG with a comment segment, so that images that are there several times are not the same bytes. */
    private static byte[] withComment(byte[] jpeg, int row) {
        byte[] text = String.format(Locale.ROOT, "row %08d", row).getBytes(StandardCharsets.US_ASCII);
        return ByteBuffer.allocate(jpeg.length + 4 + text.length)
                .put(jpeg, 0, 2)
                .putShort((short) 0xfffe)
                .putShort((short) (2 + text.length))
                .put(text)
                .put(jpeg, 2, jpeg.length - 2)
                .array();
    }

    /** So many different images. */
    private record Photos(int count, IntFunction<BufferedImage> image) {}

    private static Photos generated() {
        return new Photos(PHOTOS, Inputs::generated);
    }

    private static Photos someOf(Path folder, int count) throws IOException {
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
        int different = Math.min(count, files.size());
        return new Photos(different, i -> {
            Path file = files.get((int) ((long) i * files.size() / different));
            try {
                return ImageIO.read(file.toFile());
            } catch (IOException e) {
                throw new java.io.UncheckedIOException("cannot read " + file, e);
            }
        });
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
