package io.lancetorch.safety;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.tensor.TorchFile;
import io.lancetorch.testing.TestData;
import io.lancetorch.testing.TestImages;
import io.lancetorch.testing.TorchFiles;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.LongStream;
import java.util.zip.CRC32;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Files of which some bytes are others: 10,000 images, 500 Lance datasets, 500 texts of written fragments and 500 .pt files,
 * or {@code -Dlancetorch.fuzz=N} times as many, by {@code -Dlancetorch.fuzz.seed}. Each is read as what it says now, or
 * refused by a typed exception; nothing else. {@code ./lancetorch test} runs them under ASan and UBSan too.
 */
class MutatedFilesTest {
    private static final int TIMES = Integer.getInteger("lancetorch.fuzz", 1);
    private static final long SEED = Long.getLong("lancetorch.fuzz.seed", 20261123);

    @TempDir
    private Path folder;

    private final Random random = new Random(SEED);
    private final Map<String, Integer> ends = new TreeMap<>();

    /** Other bytes here and there, a part that is moved, cut out or repeated, a number at its limits, or a cut. */
    private byte[] mutated(byte[] whole) {
        byte[] bytes = whole.clone();
        for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
            int at = random.nextInt(bytes.length);
            int length = Math.min(1 + random.nextInt(64), bytes.length - at);
            switch (random.nextInt(8)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1, 2 -> bytes[at] = (byte) random.nextInt(256);
                case 3 -> java.util.Arrays.fill(bytes, at, at + length, (byte) (random.nextBoolean() ? 0 : 0xff));
                case 4 -> System.arraycopy(bytes, at, bytes, random.nextInt(bytes.length - length + 1), length);
                case 5 -> {
                    byte[] shorter = new byte[bytes.length - length + 1];
                    System.arraycopy(bytes, 0, shorter, 0, at);
                    System.arraycopy(bytes, at + length, shorter, at, bytes.length - at - length);
                    bytes = shorter;
                }
                case 6 -> {
                    byte[] limit = {-1, -1, -1, (byte) (random.nextBoolean() ? 0x7f : 0xff)};
                    System.arraycopy(limit, 0, bytes, at, Math.min(4, bytes.length - at));
                }
                default -> {
                    if (random.nextInt(10) == 0) {
                        bytes = java.util.Arrays.copyOf(bytes, at + 1);
                    }
                }
            }
        }
        return bytes;
    }

    /** Each chunk of a PNG with the checksum of what is in it now, so that the decoder looks at it. */
    private static byte[] withChecksums(byte[] png) {
        ByteBuffer bytes = ByteBuffer.wrap(png);
        for (int at = 8; at + 12 <= png.length; ) {
            int length = bytes.getInt(at);
            if (length < 0 || length > png.length - at - 12) {
                break;
            }
            var checksum = new CRC32();
            checksum.update(png, at + 4, length + 4);
            bytes.putInt(at + 8 + length, (int) checksum.getValue());
            at += 12 + length;
        }
        return png;
    }

    private byte[] mutatedImage(byte[] whole) {
        byte[] bytes = mutated(whole);
        return whole[0] == (byte) 0x89 && random.nextInt(4) > 0 ? withChecksums(bytes) : bytes;
    }

    private void note(Throwable thrown, Class<?>... allowed) {
        ends.merge(thrown == null ? "read" : thrown.getClass().getSimpleName(), 1, Integer::sum);
        if (thrown != null) {
            assertThat(thrown).as("seed %s", SEED).isInstanceOfAny(allowed);
        }
    }

    private void tell(String what, int refused) {
        System.out.println(what + ", by seed " + SEED + ": " + ends);
        assertThat(ends.values().stream().mapToInt(Integer::intValue).sum() - ends.getOrDefault("read", 0))
                .as("refused: %s", ends)
                .isGreaterThan(refused * TIMES);
    }

    private static byte[] image(String format, int type, boolean progressive) throws IOException {
        var image = new BufferedImage(61, 43, type);
        for (int y = 0; y < 43; y++) {
            for (int x = 0; x < 61; x++) {
                image.setRGB(x, y, x * 4 << 16 | y * 5 << 8 | (x ^ y) | 0xff000000);
            }
        }
        var bytes = new ByteArrayOutputStream();
        var writer = ImageIO.getImageWritersByFormatName(format).next();
        ImageWriteParam parameters = writer.getDefaultWriteParam();
        if (progressive) {
            parameters.setProgressiveMode(ImageWriteParam.MODE_DEFAULT);
        }
        try (var out = ImageIO.createImageOutputStream(bytes)) {
            writer.setOutput(out);
            writer.write(null, new IIOImage(image, null, null), parameters);
        }
        writer.dispose();
        return bytes.toByteArray();
    }

    /** What a writer of fragments says, with the checksum of what is in it now, so that all of it is looked at. */
    private static String withChecksum(String text) {
        int json = text.indexOf('{');
        if (json < 0) {
            return text;
        }
        var checksum = new CRC32();
        checksum.update(text.substring(json).getBytes(UTF_8));
        return String.format("lancetorch-fragments-1 %08x %s", checksum.getValue(), text.substring(json));
    }

    @Test
    void textsOfFragmentsAreCommittedOrRefused() {
        String uri = folder.resolve("fragments.lance").toString();
        LanceWriter.Builder to = LanceWriter.to(uri, Schema.of(Field.int64("id"), Field.utf8("text")))
                .mode(LanceWriter.Mode.OVERWRITE)
                .maxRowsPerFile(10);
        String whole;
        try (var writer = to.openFragments()) {
            for (long i = 0; i < 25; i++) {
                writer.append(i, "row " + i);
            }
            whole = writer.finish();
        }
        to.commit(List.of(whole));
        for (int i = 0; i < 500 * TIMES; i++) {
            String text = new String(mutated(whole.getBytes(UTF_8)), UTF_8);
            String other = random.nextInt(4) > 0 ? withChecksum(text) : text;
            note(
                    catchThrowable(() -> {
                        to.commit(List.of(other));
                        try (var dataset = LanceDataset.open(uri);
                                var scan = dataset.scan().open()) {
                            for (RecordBatch batch; (batch = scan.next()) != null; ) {
                                batch.close();
                            }
                        }
                    }),
                    CorruptDataException.class,
                    InvalidArgumentException.class,
                    NotFoundException.class);
        }
        to.commit(List.of(whole));
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(dataset.countRows()).isEqualTo(25);
        }
        tell("texts of fragments", 300);
    }

    @Test
    void tenThousandMutatedImages() throws IOException {
        List<byte[]> sources = List.of(
                TestImages.ramp(43, 61, 90),
                image("jpeg", BufferedImage.TYPE_INT_RGB, true),
                image("jpeg", BufferedImage.TYPE_BYTE_GRAY, false),
                image("png", BufferedImage.TYPE_INT_RGB, false),
                image("png", BufferedImage.TYPE_INT_ARGB, true),
                image("png", BufferedImage.TYPE_BYTE_INDEXED, false),
                image("png", BufferedImage.TYPE_USHORT_GRAY, false));
        List<ImageDecoder> decoders = List.of(
                new ImageDecoder(ImageTransform.resize(16, 16).maxPixels(1 << 22), 0),
                new ImageDecoder(
                        ImageTransform.centerCrop(16, 14, 14).applyOrientation().maxPixels(1 << 22), 0),
                new ImageDecoder(
                        ImageTransform.randomResizedCrop(9, 9).flip(0.5).uint8().maxPixels(1 << 22), 0),
                new ImageDecoder(ImageTransform.resize(4, 4).fast().maxPixels(1 << 22), 0));
        int rows = 500;
        String good = folder.resolve("good.lance").toString();
        try (var writer = LanceWriter.to(good, Schema.of(Field.binary("image"))).open()) {
            for (byte[] source : sources) {
                writer.append((Object) source);
            }
            writer.finish();
        }
        try (var opened = LanceDataset.open(good);
                RecordBatch whole =
                        opened.take(LongStream.range(0, sources.size()).toArray())) {
            mutatedImages(sources, decoders, rows, whole);
        }
        tell("mutated images", 2_000);
        assertThat(ends.getOrDefault("read", 0)).as("still images").isPositive();
    }

    private void mutatedImages(List<byte[]> sources, List<ImageDecoder> decoders, int rows, RecordBatch whole) {
        MemorySegment room = Arena.ofAuto().allocate(3 * 8 * 8);
        List<byte[]> expected = decodeAll(whole, room);
        for (int dataset = 0; dataset < 20 * TIMES; dataset++) {
            String uri = folder.resolve("images-" + dataset + ".lance").toString();
            try (var writer =
                    LanceWriter.to(uri, Schema.of(Field.binary("image"))).open()) {
                for (int i = 0; i < rows; i++) {
                    writer.append((Object) mutatedImage(sources.get(i % sources.size())));
                }
                writer.finish();
            }
            try (var opened = LanceDataset.open(uri);
                    Scan scan = opened.scan().batchSize(rows).open();
                    RecordBatch batch = scan.next();
                    Arena arena = Arena.ofConfined()) {
                ImageDecoder decoder = decoders.get(dataset % decoders.size());
                long size = decoder.transform().imageBytes();
                MemorySegment keys = arena.allocate(8, 8);
                // The memory ends with the image, so that a sanitizer sees a byte too many.
                for (int row = 0; row < rows; row++) {
                    MemorySegment pixels = arena.allocate(size, 8);
                    int at = row;
                    note(
                            catchThrowable(
                                    () -> decoder.decode(batch.column(0), at, 1, keys, MemorySegment.NULL, pixels)),
                            CorruptDataException.class,
                            UnsupportedException.class);
                    if (row % 10 == 9) {
                        assertThat(decodeAll(whole, room))
                                .as("whole images after damaged ones, at %s", row)
                                .usingRecursiveComparison()
                                .isEqualTo(expected);
                    }
                }
            }
        }
    }

    /** The pixels of whole images, decoded by this thread. */
    private static List<byte[]> decodeAll(RecordBatch batch, MemorySegment pixels) {
        var decoder = new ImageDecoder(ImageTransform.resize(8, 8).uint8(), 0);
        List<byte[]> images = new ArrayList<>();
        for (int row = 0; row < batch.rows(); row++) {
            decoder.decode(batch.column(0), row, 1, pixels);
            images.add(pixels.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
        }
        return images;
    }

    private static void readAll(Path dataset) {
        try (var opened = LanceDataset.open(dataset.toString())) {
            long[] some = {0, opened.countRows() - 1};
            try (RecordBatch batch = opened.take(some)) {
                read(batch);
            }
            try (Scan scan = opened.scan().batchSize(4).open()) {
                for (RecordBatch next; (next = scan.next()) != null; ) {
                    try (RecordBatch batch = next) {
                        read(batch);
                    }
                }
            }
        }
    }

    private static void read(RecordBatch batch) {
        for (Field field : batch.schema().fields()) {
            Column column = batch.column(field.name());
            for (long row = 0; row < column.length(); row++) {
                switch (field.format()) {
                    case "u", "U" -> column.text(row);
                    case "z", "Z" -> {
                        MemorySegment bytes = column.bytes(row);
                        if (bytes != null) {
                            bytes.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
                        }
                    }
                    case "l", "i", "C", "b" -> column.integer(row);
                    case "f", "g", "e" -> column.real(row);
                    default -> column.nullCount();
                }
            }
        }
    }

    @Test
    void fiveHundredMutatedDatasets() throws IOException {
        List<Path> copies = new ArrayList<>();
        for (String name : List.of("legacy", "2.0", "2.1", "evolved", "tensors", "blobs")) {
            copies.add(TestData.copy(
                    TestData.resource("lance/python-" + name + ".lance"), folder.resolve(name + ".lance")));
        }
        for (int i = 0; i < 500 * TIMES; i++) {
            Path dataset = copies.get(i % copies.size());
            List<Path> files;
            try (var walk = Files.walk(dataset)) {
                files = walk.filter(Files::isRegularFile)
                        .filter(file -> !file.toString().endsWith(".json"))
                        .sorted()
                        .toList();
            }
            Path file = files.get(random.nextInt(files.size()));
            byte[] whole = Files.readAllBytes(file);
            Files.write(file, mutated(whole));
            note(catchThrowable(() -> readAll(dataset)), LanceTorchException.class);
            Files.write(file, whole);
        }
        for (Path dataset : copies) {
            assertThat(catchThrowable(() -> readAll(dataset)))
                    .as("undamaged again")
                    .isNull();
        }
        tell("mutated Lance datasets", 100);
        assertThat(Lance.liveBytes()).isZero();
    }

    @Test
    void fiveHundredMutatedTorchFiles() throws IOException {
        Path file = folder.resolve("value.pt");
        Path damaged = folder.resolve("damaged.pt");
        try (var _ = new TensorScope()) {
            Tensor weight = Ops.reshape(Ops.arange(200).to(DType.FLOAT32), 10, 20);
            TorchFile.save(
                    file,
                    Map.of(
                            "model",
                            Map.of("w", weight, "b", Tensor.of(new long[] {1, 2})),
                            "list",
                            List.of(1L, 2.5, "x")));
        }
        byte[] whole = Files.readAllBytes(file);
        byte[] pickle = TorchFiles.pickle(file);
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        for (int i = 0; i < 500 * TIMES; i++) {
            // The checksums find what is done to the file; so, in turn, the pickle is changed beneath them.
            Files.write(damaged, i % 2 == 0 ? mutated(whole) : TorchFiles.withPickle(file, mutated(pickle)));
            note(
                    catchThrowable(() -> {
                        try (var _ = new TensorScope()) {
                            TorchFile.load(damaged);
                        }
                    }),
                    LanceTorchException.class);
        }
        tell("mutated .pt files", 200);
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }
}
