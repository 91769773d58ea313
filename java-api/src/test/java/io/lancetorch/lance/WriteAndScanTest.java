package io.lancetorch.lance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WriteAndScanTest {
    private static final Schema SCHEMA = Schema.of(Field.int64("id"), Field.utf8("text"));

    @TempDir
    private Path folder;

    private String uri;

    @BeforeEach
    void name() {
        uri = folder.resolve("data.lance").toString();
    }

    /** Rows {@code begin} to {@code end} - 1 with an id and a text. */
    private long write(long begin, long end, LanceWriter.Mode mode, long maxRowsPerFile) {
        try (var writer = LanceWriter.to(uri, SCHEMA)
                .mode(mode)
                .maxRowsPerFile(maxRowsPerFile)
                .open()) {
            for (long i = begin; i < end; i++) {
                writer.append(i, "row " + i);
            }
            return writer.finish();
        }
    }

    private static long[] ids(Scan scan) {
        List<Long> ids = new ArrayList<>();
        for (RecordBatch next; (next = scan.next()) != null; ) {
            try (RecordBatch batch = next) {
                Column column = batch.column("id");
                for (long i = 0; i < batch.rows(); i++) {
                    ids.add(column.integer(i));
                }
            }
        }
        return ids.stream().mapToLong(Long::longValue).toArray();
    }

    private static long[] idsOf(Scan.Builder builder) {
        try (Scan scan = builder.open()) {
            return ids(scan);
        }
    }

    private static long[] range(long begin, long end) {
        return LongStream.range(begin, end).toArray();
    }

    // ---- writing ----

    @Test
    void rowsAreCutIntoFragmentsOfTheSizeAsked() {
        assertThat(write(0, 25, LanceWriter.Mode.CREATE, 10)).isEqualTo(1);
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(10L, 10L, 5L);
            assertThat(dataset.fragments()).extracting(Fragment::deletedRows).containsOnly(0L);
            assertThat(dataset.fragments()).extracting(Fragment::id).containsExactly(0L, 1L, 2L);
            assertThat(dataset.countRows()).isEqualTo(25);
            assertThat(dataset.version()).isEqualTo(1);
            assertThat(dataset.uri()).isEqualTo(uri);
            assertThat(dataset).asString().contains(uri, "version 1", "3 fragments", "25 rows");
            assertThat(idsOf(dataset.scan())).containsExactly(range(0, 25));
        }
    }

    @Test
    void everyTypeThatRowsMayHaveIsWrittenAndRead() {
        Schema schema = Schema.of(
                Field.bool("flag"),
                Field.uint8("byte"),
                Field.int32("int"),
                Field.int64("long"),
                Field.float16("half"),
                Field.float32("float"),
                Field.float64("double"),
                Field.binary("bytes"),
                Field.utf8("text"),
                Field.fixedSizeList("floats", Field.float32("item"), 2),
                Field.fixedSizeList("bytes2", Field.uint8("item"), 3),
                Field.fixedSizeList("halves", Field.float16("item"), 2));
        try (var writer = LanceWriter.to(uri, schema).open()) {
            writer.append(
                    true,
                    200,
                    Integer.MIN_VALUE,
                    Long.MAX_VALUE,
                    Float.floatToFloat16(1.5f),
                    2.5f,
                    1e-300,
                    new byte[] {1, 2, 3},
                    "größe",
                    new float[] {1, 2},
                    new byte[] {4, 5, 6},
                    new short[] {Float.floatToFloat16(-1), Float.floatToFloat16(0.5f)});
            writer.append(
                    false,
                    (byte) -1,
                    7,
                    8,
                    Float.floatToFloat16(-2),
                    3,
                    4L,
                    MemorySegment.ofArray(new byte[] {9}),
                    "",
                    new float[] {3, 4},
                    new byte[] {7, 8, 9},
                    new short[] {0, 0});
            writer.append(new Object[12]);
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan().open();
                RecordBatch batch = scan.next()) {
            assertThat(dataset.schema().fields())
                    .extracting(Field::typeName)
                    .containsExactly(
                            "bool",
                            "uint8",
                            "int32",
                            "int64",
                            "float16",
                            "float32",
                            "float64",
                            "binary",
                            "utf8",
                            "fixed_size_list<float32>[2]",
                            "fixed_size_list<uint8>[3]",
                            "fixed_size_list<float16>[2]");
            assertThat(batch.rows()).isEqualTo(3);
            assertThat(batch.column("flag").integer(0)).isEqualTo(1);
            assertThat(batch.column("flag").integer(1)).isZero();
            assertThat(batch.column("byte").integer(0)).isEqualTo(200);
            assertThat(batch.column("byte").integer(1)).isEqualTo(255);
            assertThat(batch.column("int").integer(0)).isEqualTo(Integer.MIN_VALUE);
            assertThat(batch.column("long").integer(0)).isEqualTo(Long.MAX_VALUE);
            assertThat(batch.column("half").real(0)).isEqualTo(1.5);
            assertThat(batch.column("float").real(0)).isEqualTo(2.5);
            assertThat(batch.column("float").real(1)).isEqualTo(3);
            assertThat(batch.column("double").real(0)).isEqualTo(1e-300);
            assertThat(batch.column("bytes").bytes(0).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE))
                    .containsExactly(1, 2, 3);
            assertThat(batch.column("bytes").bytes(1).byteSize()).isEqualTo(1);
            assertThat(batch.column("text").text(0)).isEqualTo("größe");
            assertThat(batch.column("text").text(1)).isEmpty();
            Column floats = batch.column("floats");
            assertThat(floats.child(0).real(floats.offset() * 2 + 2)).isEqualTo(3);
            Column halves = batch.column("halves");
            assertThat(halves.child(0).real(halves.offset() * 2 + 1)).isEqualTo(0.5);
            for (Field field : dataset.schema().fields()) {
                assertThat(batch.column(field.name()).nullCount())
                        .as(field.name())
                        .isEqualTo(1);
                assertThat(batch.column(field.name()).isNull(2))
                        .as(field.name())
                        .isTrue();
            }
            assertThat(batch.column("text").text(2)).isNull();
            assertThat(batch.column("bytes").bytes(2)).isNull();
        }
    }

    @Test
    void valuesThatDoNotFitAreRefusedAndTheRowIsNotAdded() {
        Schema schema = Schema.of(
                Field.int64("id"),
                Field.uint8("byte"),
                Field.fixedSizeList("list", Field.float32("item"), 2),
                Field.binary("bytes"),
                Field.utf8("text"));
        float[] two = {1, 2};
        byte[] none = {};
        try (var writer = LanceWriter.to(uri, schema).open()) {
            Object[][] bad = {
                {1.5, 1, two, none, ""},
                {"1", 1, two, none, ""},
                {1L, 256, two, none, ""},
                {1L, -129, two, none, ""},
                {1L, 1.5, two, none, ""},
                {1L, 1, new float[] {1}, none, ""},
                {1L, 1, new double[] {1, 2}, none, ""},
                {1L, 1, two, "text", ""},
                {1L, 1, two, none, none},
                {1L, true, two, none, ""},
                {1L, 1, two, none},
            };
            for (Object[] row : bad) {
                assertThatThrownBy(() -> writer.append(row))
                        .as(java.util.Arrays.deepToString(row))
                        .isInstanceOf(InvalidArgumentException.class);
            }
            assertThatThrownBy(() -> writer.append(1L, 1, new float[3], none, ""))
                    .hasMessageContainingAll("list", "fixed_size_list<float32>[2]", "3");
            writer.append(7L, 1, two, none, "");
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(idsOf(dataset.scan())).containsExactly(7);
        }
        assertThatThrownBy(() -> LanceWriter.to(
                                folder.resolve("other").toString(),
                                Schema.of(new Field("m", "+m", true, List.of(), Map.of())))
                        .open())
                .isInstanceOf(LanceTorchException.class);
    }

    @Test
    void schemaMetadataIsKept() {
        Schema schema = SCHEMA.withMetadata(Map.of("classes", "[\"häuser\",\"boats\"]", "empty", ""));
        try (var writer = LanceWriter.to(uri, schema).open()) {
            writer.append(1L, "one");
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(dataset.schema().metadata())
                    .containsEntry("classes", "[\"häuser\",\"boats\"]")
                    .containsEntry("empty", "");
        }
    }

    @Test
    void appendAddsAVersionAndOlderOnesStay() {
        write(0, 10, LanceWriter.Mode.CREATE, 100);
        try (var pinned = LanceDataset.open(uri)) {
            assertThat(write(10, 15, LanceWriter.Mode.APPEND, 100)).isEqualTo(2);
            assertThat(pinned.countRows()).isEqualTo(10);
            assertThat(idsOf(pinned.scan())).containsExactly(range(0, 10));
        }
        try (var latest = LanceDataset.open(uri);
                var first = LanceDataset.openVersion(uri, Map.of(), 1)) {
            assertThat(latest.version()).isEqualTo(2);
            assertThat(latest.fragments()).hasSize(2);
            assertThat(idsOf(latest.scan())).containsExactly(range(0, 15));
            assertThat(idsOf(first.scan())).containsExactly(range(0, 10));
        }
    }

    @Test
    void overwriteMakesAVersionOfItsRowsAlone() {
        write(0, 10, LanceWriter.Mode.CREATE, 100);
        assertThat(write(100, 103, LanceWriter.Mode.OVERWRITE, 100)).isEqualTo(2);
        try (var latest = LanceDataset.open(uri);
                var first = LanceDataset.openVersion(uri, Map.of(), 1)) {
            assertThat(idsOf(latest.scan())).containsExactly(100, 101, 102);
            assertThat(idsOf(first.scan())).containsExactly(range(0, 10));
        }
    }

    @Test
    void createRefusesWhereADatasetIsAndAppendWhereNoneIs() {
        assertThatThrownBy(() -> write(0, 1, LanceWriter.Mode.APPEND, 10))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("data.lance");
        write(0, 10, LanceWriter.Mode.CREATE, 100);
        assertThatThrownBy(() -> write(0, 1, LanceWriter.Mode.CREATE, 10))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("data.lance");
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(dataset.version()).isEqualTo(1);
        }
    }

    @Test
    void appendOfAnotherSchemaIsRefusedAndCommitsNothing() {
        write(0, 10, LanceWriter.Mode.CREATE, 100);
        assertThatThrownBy(() -> {
                    try (var writer = LanceWriter.to(uri, Schema.of(Field.float32("other")))
                            .mode(LanceWriter.Mode.APPEND)
                            .open()) {
                        writer.append(1f);
                        writer.finish();
                    }
                })
                .isInstanceOf(InvalidArgumentException.class);
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(dataset.version()).isEqualTo(1);
        }
    }

    @Test
    void writerThatIsClosedWithoutFinishCommitsNothing() {
        var writer = LanceWriter.to(uri, SCHEMA).open();
        for (long i = 0; i < 10_000; i++) {
            writer.append(i, "row");
        }
        writer.close();
        writer.close();
        assertThatThrownBy(() -> writer.append(1L, "")).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(writer::finish).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> LanceDataset.open(uri)).isInstanceOf(NotFoundException.class);
        assertThat(Lance.liveHandles(Lance.Kind.WRITER)).isZero();
    }

    @Test
    void progressTellsWhatWasWritten() {
        try (var writer = LanceWriter.to(uri, SCHEMA).maxRowsPerFile(5000).open()) {
            assertThat(writer.progress().rows()).isZero();
            for (long i = 0; i < 12_000; i++) {
                writer.append(i, "row " + i);
            }
            writer.finish();
            assertThat(writer.progress().rows()).isEqualTo(12_000);
            assertThat(writer.progress().bytes()).isGreaterThan(12_000 * 8);
            assertThat(writer.progress().fragments()).isEqualTo(3);
        }
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(idsOf(dataset.scan())).containsExactly(range(0, 12_000));
            assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(5000L, 5000L, 2000L);
        }
    }

    @Test
    void storageVersionIsAsAskedAndOneThatDoesNotExistIsRefused() {
        try (var writer =
                LanceWriter.to(uri, SCHEMA).dataStorageVersion("legacy").open()) {
            writer.append(1L, "one");
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(idsOf(dataset.scan())).containsExactly(1);
        }
        String other = folder.resolve("other.lance").toString();
        assertThatThrownBy(() -> {
                    try (var writer = LanceWriter.to(other, SCHEMA)
                            .dataStorageVersion("99.9")
                            .open()) {
                        writer.append(1L, "one");
                        writer.finish();
                    }
                })
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("99.9");
        assertThatThrownBy(() -> LanceWriter.to(uri, SCHEMA).maxRowsPerFile(0))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void exportedScanIsWrittenAsAStream() {
        write(0, 100, LanceWriter.Mode.CREATE, 30);
        String copy = folder.resolve("copy.lance").toString();
        try (var dataset = LanceDataset.open(uri);
                var arena = java.lang.foreign.Arena.ofConfined()) {
            MemorySegment stream = io.lancetorch.bindings.lance.ArrowArrayStream.allocate(arena);
            Scan scan = dataset.scan().filter("id >= 40").open();
            scan.exportTo(stream);
            assertThatThrownBy(scan::next).isInstanceOf(IllegalStateException.class);
            scan.close();
            assertThat(LanceWriter.to(copy, dataset.schema()).maxRowsPerFile(50).writeStream(stream))
                    .isEqualTo(1);
        }
        try (var dataset = LanceDataset.open(copy)) {
            assertThat(idsOf(dataset.scan())).containsExactly(range(40, 100));
        }
    }

    // ---- scanning ----

    @Test
    void columnsComeAsAskedAndRowIdsLast() {
        write(0, 10, LanceWriter.Mode.CREATE, 5);
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan()
                        .columns("text", "id")
                        .withRowId()
                        .batchSize(4)
                        .open()) {
            assertThat(scan.schema().names()).containsExactly("text", "id", "_rowid");
            List<Long> sizes = new ArrayList<>();
            List<Long> rowIds = new ArrayList<>();
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    sizes.add(batch.rows());
                    assertThat(batch.column(0).text(0))
                            .isEqualTo("row " + batch.column(1).integer(0));
                    for (int i = 0; i < batch.rows(); i++) {
                        rowIds.add(batch.column("_rowid").integer(i));
                    }
                }
            }
            assertThat(sizes).as("cut where a fragment ends").containsExactly(4L, 1L, 4L, 1L);
            assertThat(rowIds)
                    .containsExactlyElementsOf(
                            LongStream.concat(LongStream.range(0, 5), LongStream.range(1L << 32, (1L << 32) + 5))
                                    .boxed()
                                    .toList());
            assertThat(scan.next()).as("after the end").isNull();
        }
    }

    @Test
    void filterTakesTheRowsThatItAccepts() {
        write(0, 100, LanceWriter.Mode.CREATE, 30);
        try (var dataset = LanceDataset.open(uri)) {
            assertThat(idsOf(dataset.scan().filter("id >= 28 AND id < 33"))).containsExactly(range(28, 33));
            assertThat(idsOf(dataset.scan().columns("id").filter("text = 'row 77'")))
                    .containsExactly(77);
            assertThat(idsOf(dataset.scan().filter("id < 0"))).isEmpty();
            assertThat(dataset.countRows("id % 2 = 0")).isEqualTo(50);
            assertThat(dataset.countRows("id < 0")).isZero();
            List<RowRange> some = List.of(new RowRange(1, 0, 10), new RowRange(0, 0, 5));
            assertThat(idsOf(dataset.scan().ranges(some).filter("id != 33")))
                    .hasSize(14)
                    .doesNotContain(33);
        }
    }

    @Test
    void rangesComeInTheOrderAsked() {
        write(0, 100, LanceWriter.Mode.CREATE, 30);
        try (var dataset = LanceDataset.open(uri)) {
            List<RowRange> ranges = List.of(
                    new RowRange(3, 5, 10), new RowRange(0, 29, 30), new RowRange(0, 0, 2), new RowRange(0, 29, 30));
            assertThat(idsOf(dataset.scan().ranges(ranges))).containsExactly(95, 96, 97, 98, 99, 29, 0, 1, 29);
            assertThat(idsOf(dataset.scan().ranges(List.of()))).isEmpty();
            assertThat(idsOf(dataset.scan().fragments(dataset.fragments().reversed())))
                    .startsWith(90, 91)
                    .endsWith(28, 29)
                    .hasSize(100);
        }
    }

    @Test
    void batchesAreExactlyTheRangesAskedAcrossFragments() {
        write(0, 100, LanceWriter.Mode.CREATE, 30);
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan()
                        .batches(List.of(
                                List.of(new RowRange(0, 25, 30), new RowRange(1, 0, 3)),
                                List.of(new RowRange(2, 0, 30)),
                                List.of(new RowRange(3, 9, 10), new RowRange(0, 0, 1), new RowRange(3, 9, 10))))
                        .open()) {
            List<List<Long>> batches = new ArrayList<>();
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    List<Long> ids = new ArrayList<>();
                    for (int i = 0; i < batch.rows(); i++) {
                        ids.add(batch.column("id").integer(i));
                        assertThat(batch.column("text").text(i)).isEqualTo("row " + ids.getLast());
                    }
                    batches.add(ids);
                }
            }
            assertThat(batches)
                    .containsExactly(
                            LongStream.range(25, 33).boxed().toList(),
                            LongStream.range(60, 90).boxed().toList(),
                            List.of(99L, 0L, 99L));
        }
    }

    @Test
    void readAheadChangesNothingInTheRows() {
        write(0, 1000, LanceWriter.Mode.CREATE, 130);
        try (var dataset = LanceDataset.open(uri)) {
            for (int readAhead : new int[] {1, 2, 16}) {
                assertThat(idsOf(dataset.scan().batchSize(7).readAhead(readAhead)))
                        .containsExactly(range(0, 1000));
            }
        }
    }

    @Test
    void takeGivesRowsByPositionInTheOrderAsked() {
        write(0, 100, LanceWriter.Mode.CREATE, 30);
        long[] rows = {99, 0, 45, 45, 30, 29};
        try (var dataset = LanceDataset.open(uri);
                RecordBatch all = dataset.take(rows);
                RecordBatch some = dataset.take(rows, List.of("id"), true);
                RecordBatch none = dataset.take(new long[0], "id")) {
            assertThat(all.schema().names()).containsExactly("id", "text");
            assertThat(IntStream.range(0, 6).mapToLong(i -> all.column("id").integer(i)))
                    .containsExactly(99L, 0L, 45L, 45L, 30L, 29L);
            assertThat(all.column("text").text(4)).isEqualTo("row 30");
            assertThat(some.schema().names()).containsExactly("id", "_rowid");
            assertThat(some.column("_rowid").integer(4)).isEqualTo(1L << 32);
            assertThat(none.rows()).isZero();
            assertThatThrownBy(() -> dataset.take(new long[] {0, 100}))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("100");
            assertThatThrownBy(() -> dataset.take(new long[] {-1})).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> dataset.take(new long[] {0}, "nope"))
                    .isInstanceOf(NotFoundException.class)
                    .hasMessageContaining("nope");
        }
    }

    @Test
    void scanGoesOnAfterItsDatasetIsClosed() {
        write(0, 100, LanceWriter.Mode.CREATE, 30);
        Scan scan;
        try (var dataset = LanceDataset.open(uri)) {
            scan = dataset.scan().batchSize(10).open();
        }
        try (scan) {
            assertThat(ids(scan)).containsExactly(range(0, 100));
        }
    }

    @Test
    void batchesOutliveScanAndDataset() {
        write(0, 10, LanceWriter.Mode.CREATE, 30);
        RecordBatch batch;
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan().open()) {
            batch = scan.next();
        }
        Column held = batch.column("text").retain();
        batch.close();
        batch.close();
        assertThat(held.text(9)).isEqualTo("row 9");
        assertThatThrownBy(() -> batch.column("text").text(9))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("text");
        assertThat(Lance.liveBytes()).isPositive();
        held.close();
        held.close();
        assertThat(Lance.liveBytes()).isZero();
        assertThatThrownBy(held::length).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void cancelEndsAScan() {
        write(0, 1000, LanceWriter.Mode.CREATE, 100);
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan().batchSize(10).open()) {
            scan.next().close();
            scan.cancel();
            assertThatThrownBy(scan::next).isInstanceOf(CancelledException.class);
            assertThatThrownBy(scan::next).isInstanceOf(CancelledException.class);
        }
    }

    @Test
    void closeFromAnotherThreadEndsAScanThatIsRead() throws InterruptedException {
        write(0, 100_000, LanceWriter.Mode.CREATE, 50_000);
        for (int round = 0; round < 10; round++) {
            try (var dataset = LanceDataset.open(uri)) {
                Scan scan = dataset.scan().batchSize(10).open();
                var started = new CountDownLatch(1);
                var thrown = new AtomicReference<Throwable>();
                Thread reader = Thread.ofPlatform().start(() -> {
                    started.countDown();
                    thrown.set(catchThrowable(() -> ids(scan)));
                });
                started.await();
                Thread.sleep(round);
                scan.close();
                reader.join(10_000);
                assertThat(reader.isAlive()).isFalse();
                if (thrown.get() != null) {
                    assertThat(thrown.get()).isInstanceOfAny(CancelledException.class, IllegalStateException.class);
                }
            }
        }
        assertThat(Lance.liveHandles(Lance.Kind.COLUMN)).isZero();
    }

    @Test
    void manyThreadsScanOneDataset() throws InterruptedException {
        write(0, 5000, LanceWriter.Mode.CREATE, 700);
        try (var dataset = LanceDataset.open(uri)) {
            List<Thread> threads = new ArrayList<>();
            List<Throwable> failures = java.util.Collections.synchronizedList(new ArrayList<>());
            for (int t = 0; t < 4; t++) {
                threads.add(Thread.ofPlatform().start(() -> {
                    Throwable failure = catchThrowable(() -> {
                        assertThat(idsOf(dataset.scan().batchSize(100))).containsExactly(range(0, 5000));
                        assertThat(dataset.countRows("id < 10")).isEqualTo(10);
                    });
                    if (failure != null) {
                        failures.add(failure);
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(failures).isEmpty();
        }
    }

    @Test
    void useAfterCloseNamesTheThingAndClosingTwiceDoesNothing() {
        write(0, 10, LanceWriter.Mode.CREATE, 30);
        var dataset = LanceDataset.open(uri);
        Scan scan = dataset.scan().open();
        scan.close();
        assertThatCode(scan::close).doesNotThrowAnyException();
        assertThatCode(scan::cancel).doesNotThrowAnyException();
        assertThatThrownBy(scan::next).isInstanceOf(IllegalStateException.class).hasMessageContaining(uri);
        dataset.close();
        assertThatCode(dataset::close).doesNotThrowAnyException();
        for (ThrowingCallable use : List.<ThrowingCallable>of(
                () -> dataset.scan().open(), () -> dataset.take(new long[] {0}), () -> dataset.countRows("id = 1"))) {
            assertThatThrownBy(use).isInstanceOf(IllegalStateException.class).hasMessageContaining(uri);
        }
        assertThat(dataset.schema().names()).containsExactly("id", "text");
    }

    @Test
    void columnsThatAreAskedWrongly() {
        write(0, 10, LanceWriter.Mode.CREATE, 30);
        try (var dataset = LanceDataset.open(uri);
                RecordBatch batch = dataset.take(new long[] {1})) {
            assertThatThrownBy(() -> batch.column("nope"))
                    .isInstanceOf(NotFoundException.class)
                    .hasMessageContainingAll("nope", "id", "text");
            Column id = batch.column("id");
            assertThatThrownBy(() -> id.integer(1)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> id.integer(-1)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> id.text(0)).isInstanceOf(UnsupportedException.class);
            assertThatThrownBy(() -> id.real(0)).isInstanceOf(UnsupportedException.class);
            assertThatThrownBy(() -> id.child(0)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> id.buffer(2)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> batch.column("text").integer(0)).isInstanceOf(UnsupportedException.class);
        }
    }

    @Test
    void versionOfLanceIsTold() {
        assertThat(Lance.version()).matches("\\d+\\.\\d+\\.\\d+.*");
    }
}
