package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Lists of any length: written, scanned, and padded beside images. */
@Timeout(60)
class TokensTest {
    private static final int ROWS = 50;

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("captions.lance").toString();
        Schema schema = Schema.of(
                Field.int64("id"),
                Field.binary("image"),
                Field.list("caption", Field.int32("item")),
                Field.list("wide", Field.int64("item")),
                Field.list("bytes", Field.uint8("item")),
                Field.list("weights", Field.float32("item")),
                Field.fixedSizeList("three", Field.int32("item"), 3));
        try (var writer = LanceWriter.to(uri, schema).maxRowsPerFile(17).open()) {
            for (int id = 0; id < ROWS; id++) {
                int[] caption = caption(id);
                byte[] bytes = new byte[caption.length];
                Arrays.fill(bytes, (byte) (200 + id % 50));
                float[] weights = new float[caption.length];
                Arrays.fill(weights, id + 0.5f);
                writer.append(
                        (long) id,
                        TestImages.gray(id),
                        caption,
                        Arrays.stream(caption)
                                .mapToLong(token -> token + (1L << 40))
                                .toArray(),
                        bytes,
                        weights,
                        new int[] {id, -id, 7});
            }
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    /** 0 to 11 tokens; row 13 has none at all. */
    private static int[] caption(int id) {
        return IntStream.range(0, id % 13 == 0 ? 0 : id * 7 % 12)
                .map(i -> 1000 * id + i - 5)
                .toArray();
    }

    private static long[] padded(long[] tokens, int length, long pad) {
        long[] row = Arrays.copyOf(tokens, length);
        Arrays.fill(row, Math.min(tokens.length, length), length, pad);
        return row;
    }

    @Test
    void tokensArePaddedOrCutBesideTheImageOfTheirRowInEveryStyle() {
        for (boolean map : new boolean[] {false, true}) {
            var builder = DataLoader.of(dataset)
                    .columns("id", "image", "caption", "wide", "bytes", "three")
                    .image("image", ImageTransform.resize(4, 4).uint8())
                    .tokens("caption", 8, -1)
                    .tokens("wide", 5, 0)
                    .tokens("bytes", 3, 0)
                    .tokens("three", 4, 9)
                    .sampler(new RandomSampler())
                    .batchSize(7);
            try (var loader = (map ? builder.mapStyle() : builder.iterableStyle()).open()) {
                int rows = 0;
                for (Batch batch : loader) {
                    long[] ids = batch.get("id").toLongs();
                    long[] pixels = batch.get("image").toLongs();
                    long[] captions = batch.get("caption").toLongs();
                    long[] lengths = batch.get("caption_length").toLongs();
                    assertThat(batch.get("caption").shape()).containsExactly(batch.rows(), 8);
                    assertThat(batch.get("caption").dtype()).isEqualTo(DType.INT64);
                    for (int row = 0; row < batch.rows(); row++, rows++) {
                        int id = (int) ids[row];
                        int[] tokens = caption(id);
                        long[] caption = Arrays.stream(tokens).asLongStream().toArray();
                        assertThat(pixels[48 * row + 20]).isBetween(id - 2L, id + 2L);
                        assertThat(Arrays.copyOfRange(captions, 8 * row, 8 * row + 8))
                                .isEqualTo(padded(caption, 8, -1));
                        assertThat(lengths[row]).isEqualTo(Math.min(8, tokens.length));
                        assertThat(Arrays.copyOfRange(batch.get("wide").toLongs(), 5 * row, 5 * row + 5))
                                .isEqualTo(padded(
                                        LongStream.of(caption)
                                                .map(token -> token + (1L << 40))
                                                .toArray(),
                                        5,
                                        0));
                        long[] bytes = new long[tokens.length];
                        Arrays.fill(bytes, 200 + id % 50);
                        assertThat(Arrays.copyOfRange(batch.get("bytes").toLongs(), 3 * row, 3 * row + 3))
                                .isEqualTo(padded(bytes, 3, 0));
                        assertThat(Arrays.copyOfRange(batch.get("three").toLongs(), 4 * row, 4 * row + 4))
                                .containsExactly(id, -id, 7, 9);
                    }
                }
                assertThat(rows).isEqualTo(ROWS);
            }
        }
    }

    @Test
    void valuesOfAScanAreATensorOverTheColumnsOwnMemory() {
        try (var scan = dataset.scan()
                        .columns("caption", "weights")
                        .batchSize(20)
                        .open();
                var _ = new TensorScope()) {
            int id = 0;
            while (true) {
                try (RecordBatch batch = scan.next()) {
                    if (batch == null) {
                        break;
                    }
                    Tensor values = ColumnTensors.listValues(batch.column("caption"));
                    long[] offsets =
                            ColumnTensors.listOffsets(batch.column("caption")).toLongs();
                    assertThat(offsets).hasSize((int) batch.rows() + 1);
                    long[] tokens = values.toLongs();
                    var child = batch.column("caption").child(0);
                    assertThat(values.dataPointer())
                            .isEqualTo(child.buffer(1).address()
                                    + 4
                                            * (child.offset()
                                                    + batch.column("caption").listOffset(0)));
                    assertThat(ColumnTensors.listValues(batch.column("weights")).dtype())
                            .isEqualTo(DType.FLOAT32);
                    for (int row = 0; row < batch.rows(); row++, id++) {
                        assertThat(Arrays.copyOfRange(tokens, (int) offsets[row], (int) offsets[row + 1]))
                                .isEqualTo(Arrays.stream(caption(id))
                                        .asLongStream()
                                        .toArray());
                    }
                }
            }
            assertThat(id).isEqualTo(ROWS);
        }
    }

    @Test
    void aNullIsNamedWithItsRow() {
        String uri = folder.resolve("nulls.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.list("text", Field.int32("item"))))
                .open()) {
            writer.append(new int[] {1, 2});
            writer.append((Object) null);
            writer.append(new int[] {3});
            assertThatThrownBy(() -> writer.append(new long[] {3})).isInstanceOf(InvalidArgumentException.class);
            writer.finish();
        }
        try (var nulls = LanceDataset.open(uri);
                var loader = DataLoader.of(nulls).tokens("text", 2, 0).open()) {
            assertThatThrownBy(() -> loader.forEach(batch -> {}))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("column text", "row 1");
        }
        try (var nulls = LanceDataset.open(uri);
                var loader = DataLoader.of(nulls)
                        .tokens("text", 2, 0)
                        .filter("text is not null")
                        .open()) {
            assertThat(loader.iterator().next().get("text").toLongs()).containsExactly(1, 2, 3, 0);
        }
    }

    @Test
    void columnsThatAreNoTokensAreRefusedAndAListSaysWhatToDo() {
        assertThatThrownBy(() -> DataLoader.of(dataset)
                        .columns("weights")
                        .tokens("weights", 4, 0)
                        .open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("weights", "list<float32>");
        assertThatThrownBy(() -> DataLoader.of(dataset).columns("caption").open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("caption", "tokens(...)", "packed(...)");
        assertThatThrownBy(() -> DataLoader.of(dataset).tokens("caption", 0, 0))
                .isInstanceOf(InvalidArgumentException.class);
    }
}
