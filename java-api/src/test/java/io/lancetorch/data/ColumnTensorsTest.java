package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** An Arrow column's memory becomes a tensor's without a copy, and is freed once, after its last alias. */
class ColumnTensorsTest {
    private static final int ROWS = 1000;

    @TempDir
    private Path folder;

    private LanceDataset dataset;

    @AfterEach
    void close() {
        if (dataset != null) {
            dataset.close();
        }
    }

    private Scan scan(Schema schema, List<Object[]> rows, int batchSize) {
        String uri = folder.resolve("data.lance").toString();
        try (var writer = LanceWriter.to(uri, schema).open()) {
            rows.forEach(writer::append);
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
        return dataset.scan().batchSize(batchSize).open();
    }

    private static Object value(String format, int row) {
        return switch (format) {
            case "e" -> Float.floatToFloat16(row % 100);
            case "f" -> (float) row;
            case "g" -> (double) row;
            case "l" -> (long) row;
            case "C" -> row % 100;
            default -> row;
        };
    }

    private static double expected(String format, int row) {
        return format.equals("e") || format.equals("C") ? row % 100 : row;
    }

    static Stream<Arguments> fixedWidthTypes() {
        return Stream.of(
                Arguments.of(Field.uint8("x"), DType.UINT8),
                Arguments.of(Field.int32("x"), DType.INT32),
                Arguments.of(Field.int64("x"), DType.INT64),
                Arguments.of(Field.float16("x"), DType.FLOAT16),
                Arguments.of(Field.float32("x"), DType.FLOAT32),
                Arguments.of(Field.float64("x"), DType.FLOAT64));
    }

    private List<Object[]> rows(Field field) {
        List<Object[]> rows = new ArrayList<>();
        for (int i = 0; i < ROWS; i++) {
            rows.add(new Object[] {value(field.format(), i)});
        }
        return rows;
    }

    @ParameterizedTest
    @MethodSource("fixedWidthTypes")
    void numbersAreAliasedInTheBufferThatLanceReturned(Field field, DType dtype) {
        try (Scan scan = scan(Schema.of(field), rows(field), ROWS);
                RecordBatch batch = scan.next()) {
            Column column = batch.column("x");
            long handed = Lance.liveBytes();
            long before = Torch.liveBytes();
            try (Tensor tensor = ColumnTensors.alias(column)) {
                assertThat(tensor.dtype()).isEqualTo(dtype);
                assertThat(tensor.shape()).containsExactly(ROWS);
                assertThat(tensor.dataPointer())
                        .as("the pointer lies in the Arrow buffer, at its first row")
                        .isEqualTo(column.buffer(1).address() + column.offset() * dtype.size());
                assertThat(Lance.liveBytes()).as("no copy was made").isEqualTo(handed);
                assertThat(Torch.liveBytes() - before).isEqualTo((long) ROWS * dtype.size());
                double[] values = tensor.toDoubles();
                for (int i = 0; i < ROWS; i++) {
                    assertThat(values[i]).isEqualTo(expected(field.format(), i));
                }
            }
        }
        assertThat(Lance.liveBytes()).isZero();
        assertThat(Torch.liveBytes()).isZero();
    }

    @Test
    void listsOfFixedSizeAreMatricesOverTheirChild() {
        int width = 48;
        var random = new Random(1);
        List<Object[]> rows = new ArrayList<>();
        for (int i = 0; i < ROWS; i++) {
            float[] vector = new float[width];
            for (int j = 0; j < width; j++) {
                vector[j] = random.nextFloat();
            }
            rows.add(new Object[] {vector});
        }
        try (Scan scan = scan(Schema.of(Field.fixedSizeList("x", Field.float32("item"), width)), rows, ROWS);
                RecordBatch batch = scan.next()) {
            Column column = batch.column("x");
            Column child = column.child(0);
            try (Tensor tensor = ColumnTensors.alias(column)) {
                assertThat(tensor.shape()).containsExactly(ROWS, width);
                long begin = child.buffer(1).address();
                assertThat(tensor.dataPointer()).isEqualTo(begin + 4 * (column.offset() * width + child.offset()));
                float[] values = tensor.toFloats();
                for (int i = 0; i < ROWS; i++) {
                    float[] vector = (float[]) rows.get(i)[0];
                    assertThat(java.util.Arrays.copyOfRange(values, i * width, (i + 1) * width))
                            .isEqualTo(vector);
                }
            }
        }
    }

    @Test
    void batchesThatBeginWithinAnArrayAreAliasedAtTheirOffset() {
        Field list = Field.fixedSizeList("v", Field.float32("item"), 3);
        List<Object[]> rows = new ArrayList<>();
        for (int i = 0; i < ROWS; i++) {
            rows.add(new Object[] {(long) i, new float[] {i, i + 0.25f, i + 0.5f}, i % 5 == 0});
        }
        Schema schema = Schema.of(Field.int64("x"), list, Field.bool("b"));
        try (Scan all = scan(schema, rows, 7);
                Scan ranges = dataset.scan()
                        .batches(List.of(
                                List.of(new RowRange(0, 13, 64)),
                                List.of(new RowRange(0, 999, 1000), new RowRange(0, 3, 5)),
                                List.of(new RowRange(0, 501, 502))))
                        .open()) {
            long row = 0;
            for (RecordBatch next; (next = all.next()) != null; ) {
                try (RecordBatch batch = next) {
                    assertRows(batch, row);
                    row += batch.rows();
                }
            }
            assertThat(row).isEqualTo(ROWS);
            try (RecordBatch batch = ranges.next()) {
                assertRows(batch, 13);
            }
            try (RecordBatch batch = ranges.next();
                    Tensor x = ColumnTensors.alias(batch.column("x"));
                    Tensor v = ColumnTensors.alias(batch.column("v"));
                    Tensor b = ColumnTensors.alias(batch.column("b"))) {
                assertThat(x.toLongs()).containsExactly(999, 3, 4);
                assertThat(v.toFloats()[3]).isEqualTo(3);
                assertThat(b.toLongs()).containsExactly(0, 0, 0);
            }
            try (RecordBatch batch = ranges.next()) {
                assertRows(batch, 501);
            }
        }
    }

    private static void assertRows(RecordBatch batch, long first) {
        try (Tensor x = ColumnTensors.alias(batch.column("x"));
                Tensor v = ColumnTensors.alias(batch.column("v"));
                Tensor b = ColumnTensors.alias(batch.column("b"))) {
            assertThat(b.dtype()).isEqualTo(DType.BOOL);
            for (int i = 0; i < batch.rows(); i++) {
                assertThat(x.toLongs()[i]).isEqualTo(first + i);
                assertThat(v.toFloats()[3 * i + 1]).isEqualTo(first + i + 0.25f);
                assertThat(b.toLongs()[i]).isEqualTo((first + i) % 5 == 0 ? 1 : 0);
            }
        }
    }

    @Test
    void boolsAreUnpackedToMemoryOfTheTensorsOwn() {
        List<Object[]> rows = new ArrayList<>();
        var random = new Random(2);
        for (int i = 0; i < ROWS; i++) {
            rows.add(new Object[] {random.nextBoolean()});
        }
        Tensor tensor;
        try (Scan scan = scan(Schema.of(Field.bool("x")), rows, ROWS);
                RecordBatch batch = scan.next()) {
            tensor = ColumnTensors.alias(batch.column("x"));
        }
        try (tensor) {
            assertThat(Lance.liveBytes()).isZero();
            long[] values = tensor.toLongs();
            for (int i = 0; i < ROWS; i++) {
                assertThat(values[i] == 1).isEqualTo(rows.get(i)[0]);
            }
        }
    }

    @Test
    void emptyBatchesAreEmptyTensors() {
        try (Scan scan = scan(
                        Schema.of(Field.fixedSizeList("x", Field.float32("item"), 3)),
                        List.of(new Object[][] {{new float[3]}}),
                        10);
                RecordBatch none = dataset.take(new long[0]);
                Tensor tensor = ColumnTensors.alias(none.column("x"))) {
            assertThat(scan.schema().names()).containsExactly("x");
            assertThat(tensor.shape()).containsExactly(0, 3);
        }
    }

    // ---- who frees ----

    private Tensor aliasOf(RecordBatch batch) {
        return ColumnTensors.alias(batch.column("x"));
    }

    @Test
    void bytesLiveUntilTheTensorGoesWhereTheBatchGoesFirst() {
        Field field = Field.float32("x");
        Tensor tensor;
        try (Scan scan = scan(Schema.of(field), rows(field), ROWS);
                RecordBatch batch = scan.next()) {
            tensor = aliasOf(batch);
        }
        dataset.close();
        assertThat(Lance.liveBytes()).isGreaterThanOrEqualTo(4L * ROWS);
        assertThat(tensor.toFloats()[ROWS - 1]).isEqualTo(ROWS - 1);
        tensor.close();
        assertThat(Lance.liveBytes()).isZero();
        assertThat(Torch.liveBytes()).isZero();
    }

    @Test
    void bytesLiveUntilTheBatchGoesWhereTheTensorGoesFirst() {
        Field field = Field.float32("x");
        try (Scan scan = scan(Schema.of(field), rows(field), ROWS)) {
            RecordBatch batch = scan.next();
            aliasOf(batch).close();
            assertThat(Torch.liveBytes()).isZero();
            assertThat(Lance.liveBytes()).isGreaterThanOrEqualTo(4L * ROWS);
            assertThat(batch.column("x").real(ROWS - 1)).isEqualTo(ROWS - 1);
            batch.close();
            assertThat(Lance.liveBytes()).isZero();
        }
    }

    @Test
    void bytesLiveUntilTheLastViewGoesInEveryOrder() {
        Field field = Field.float32("x");
        try (Scan scan = scan(Schema.of(field), rows(field), ROWS)) {
            RecordBatch batch = scan.next();
            for (int order = 0; order < 24; order++) {
                List<AutoCloseable> holders = new ArrayList<>();
                Column column = batch.column("x").retain();
                Tensor tensor = ColumnTensors.alias(column);
                Tensor view;
                try (var scope = new TensorScope()) {
                    view = scope.moveToOuter(Ops.reshape(Ops.narrow(tensor, 0, 10, 20), 4, 5));
                }
                Tensor second = ColumnTensors.alias(column);
                holders.add(column);
                holders.add(tensor);
                holders.add(view);
                holders.add(second);
                Collections.shuffle(holders, new Random(order));
                for (AutoCloseable holder : holders) {
                    if (!view.isClosed()) {
                        assertThat(view.toFloats()[0]).isEqualTo(10);
                    }
                    assertThat(Lance.liveBytes()).isPositive();
                    closeNow(holder);
                }
                assertThat(Torch.liveBytes()).isEqualTo(0);
            }
            batch.close();
            assertThat(Lance.liveBytes()).isZero();
        }
    }

    private static void closeNow(AutoCloseable holder) {
        try {
            holder.close();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void historyOfACalculationHoldsTheBytes() {
        Field field = Field.float32("x");
        try (Scan scan = scan(Schema.of(field), rows(field), ROWS)) {
            Tensor loss;
            Tensor weight = Tensor.of(new float[] {2}).requiresGrad(true);
            try (var scope = new TensorScope();
                    RecordBatch batch = scan.next()) {
                loss = scope.moveToOuter(Ops.sum(Ops.mul(aliasOf(batch), weight)));
            }
            assertThat(Lance.liveBytes()).as("backward reads the column").isPositive();
            loss.backward();
            try (Tensor grad = weight.grad()) {
                assertThat(grad.item()).isEqualTo(ROWS * (ROWS - 1) / 2.0);
            }
            assertThat(Lance.liveBytes()).as("the history is gone").isZero();
            loss.close();
            weight.close();
        }
    }

    @Test
    void manyThreadsMayLetGoAtOnce() throws InterruptedException {
        Field field = Field.float32("x");
        try (Scan scan = scan(Schema.of(field), rows(field), 10)) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                RecordBatch batch = next;
                List<Tensor> aliases =
                        Stream.generate(() -> aliasOf(batch)).limit(4).toList();
                var start = new CountDownLatch(1);
                List<Thread> threads = new ArrayList<>();
                for (Tensor alias : aliases) {
                    threads.add(Thread.ofPlatform().start(() -> {
                        try {
                            start.await();
                        } catch (InterruptedException e) {
                            throw new AssertionError(e);
                        }
                        alias.close();
                    }));
                }
                start.countDown();
                batch.close();
                for (Thread thread : threads) {
                    thread.join();
                }
                assertThat(Lance.liveBytes()).isZero();
                assertThat(Torch.liveBytes()).isZero();
            }
        }
    }

    // ---- what has no tensor form ----

    @Test
    void typesWithoutATensorFormAreNamed() {
        Schema schema = Schema.of(Field.utf8("t"), Field.binary("z"));
        try (Scan scan = scan(schema, List.of(new Object[][] {{"a", new byte[] {1}}}), 10);
                RecordBatch batch = scan.next()) {
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("t")))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContainingAll("column t", "utf8");
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("z")))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContainingAll("column z", "binary");
        }
    }

    @ParameterizedTest
    @MethodSource("fixedWidthTypes")
    void nullInAFixedWidthColumnIsNamedWithItsRow(Field field, DType dtype) {
        List<Object[]> rows = rows(field);
        rows.set(17, new Object[] {null});
        rows.set(400, new Object[] {null});
        try (Scan scan = scan(Schema.of(field), rows, ROWS);
                RecordBatch batch = scan.next()) {
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("x")))
                    .as(dtype.name())
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("column x", "2 nulls", "row 17")
                    .extracting(e -> ((CorruptDataException) e).row())
                    .isEqualTo(17L);
        }
        assertThat(Torch.liveBytes()).isZero();
    }

    @Test
    void nullAmongBoolsAndListsIsNamedWithItsRow() {
        List<Object[]> rows = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            rows.add(new Object[] {i == 3 ? null : true, i == 70 ? null : new float[2]});
        }
        Schema schema = Schema.of(Field.bool("b"), Field.fixedSizeList("v", Field.float32("item"), 2));
        try (Scan scan = scan(schema, rows, 100);
                RecordBatch batch = scan.next();
                Scan later = dataset.scan().batchSize(30).open()) {
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("b")))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("column b", "row 3");
            assertThatThrownBy(() -> ColumnTensors.alias(batch.column("v")))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("column v", "row 70");
            try (RecordBatch first = later.next();
                    Tensor vectors = ColumnTensors.alias(first.column("v"))) {
                assertThat(vectors.shape()).as("a batch without a null").containsExactly(30, 2);
            }
            later.next().close();
            try (RecordBatch third = later.next()) {
                assertThatThrownBy(() -> ColumnTensors.alias(third.column("v")))
                        .as("rows count within the batch")
                        .isInstanceOf(CorruptDataException.class)
                        .hasMessageContaining("row 10");
                try (Tensor bools = ColumnTensors.alias(third.column("b"))) {
                    assertThat(bools.count()).isEqualTo(30);
                }
            }
        }
    }

    @Test
    void closedColumnIsNotAliased() {
        Field field = Field.float32("x");
        try (Scan scan = scan(Schema.of(field), rows(field), ROWS)) {
            RecordBatch batch = scan.next();
            Column column = batch.column("x");
            batch.close();
            assertThatThrownBy(() -> ColumnTensors.alias(column)).isInstanceOf(IllegalStateException.class);
        }
    }
}
