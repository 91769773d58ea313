package io.lancetorch.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.arrow.c.ArrowArray;
import org.apache.arrow.c.ArrowSchema;
import org.apache.arrow.c.Data;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.OutOfMemoryException;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float2Vector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryEncoder;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.ipc.ArrowStreamReader;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class ArrowInteropTest {
    private static final int ROWS = 100;
    private static final Schema SCHEMA = Schema.of(
            Field.int64("id"),
            Field.uint8("small"),
            Field.int32("number"),
            Field.float16("half"),
            Field.float32("single"),
            Field.float64("double"),
            Field.bool("flag"),
            Field.fixedSizeList("vector", Field.float32("item"), 4),
            Field.binary("bytes"),
            Field.utf8("text"));

    @TempDir
    private static Path folder;

    /** 100 rows in fragments of 40; every fifth value of "text" and every seventh of "flag" and "double" is null. */
    private static LanceDataset dataset;

    private BufferAllocator allocator;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("rows.lance").toString();
        try (var writer = LanceWriter.to(uri, SCHEMA).maxRowsPerFile(40).open()) {
            for (int i = 0; i < ROWS; i++) {
                writer.append(
                        (long) i,
                        i % 256,
                        -i,
                        Float.floatToFloat16(i / 2f),
                        i + 0.5f,
                        i % 7 == 0 ? null : i + 0.25,
                        i % 7 == 0 ? null : i % 2 == 0,
                        new float[] {i, i + 1, i + 2, i + 3},
                        new byte[] {(byte) i, 7},
                        i % 5 == 0 ? null : "row " + i);
            }
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterAll
    static void closeDataset() {
        dataset.close();
        assertThat(Alive.now()).isEmpty();
    }

    @BeforeEach
    void open() {
        allocator = new RootAllocator();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(allocator.getAllocatedMemory()).isZero();
        allocator.close();
        var alive = Alive.now();
        alive.remove("lance DATASET");
        assertThat(alive).isEmpty();
    }

    private static RecordBatch batchOf(List<RowRange> ranges, String... columns) {
        try (Scan scan =
                dataset.scan().columns(columns).batches(List.of(ranges)).open()) {
            return scan.next();
        }
    }

    private static RecordBatch firstRows(int count, String... columns) {
        return batchOf(List.of(new RowRange(dataset.fragments().getFirst().id(), 0, count)), columns);
    }

    private static void assertRow(VectorSchemaRoot root, int row, int i) {
        assertThat(root.getVector("id").getObject(row)).isEqualTo((long) i);
        assertThat(((Number) root.getVector("small").getObject(row)).intValue() & 0xff)
                .isEqualTo(i % 256);
        assertThat(root.getVector("number").getObject(row)).isEqualTo(-i);
        assertThat(((Float2Vector) root.getVector("half")).getValueAsFloat(row)).isEqualTo(i / 2f);
        assertThat(root.getVector("single").getObject(row)).isEqualTo(i + 0.5f);
        assertThat(root.getVector("double").getObject(row)).isEqualTo(i % 7 == 0 ? null : i + 0.25);
        assertThat(root.getVector("flag").getObject(row)).isEqualTo(i % 7 == 0 ? null : i % 2 == 0);
        assertThat(root.getVector("vector").getObject(row)).isEqualTo(List.of((float) i, i + 1f, i + 2f, i + 3f));
        assertThat(root.getVector("bytes").getObject(row)).isEqualTo(new byte[] {(byte) i, 7});
        Object text = root.getVector("text").getObject(row);
        assertThat(text == null ? null : text.toString()).isEqualTo(i % 5 == 0 ? null : "row " + i);
    }

    // ---- a batch of a scan as vectors ----

    @ParameterizedTest
    @CsvSource({"0, 40", "3, 20", "8, 16", "13, 14", "39, 40", "1, 40"})
    void everyTypeReadsTheSameFromAnyRowOn(int begin, int end) {
        long fragment = dataset.fragments().getFirst().id();
        try (RecordBatch batch = batchOf(List.of(new RowRange(fragment, begin, end)));
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            assertThat(root.getRowCount()).isEqualTo(end - begin);
            for (int row = 0; row < root.getRowCount(); row++) {
                assertRow(root, row, begin + row);
            }
        }
    }

    @Test
    void rowsOfManyRangesReadTheSame() {
        var fragments = dataset.fragments();
        List<RowRange> ranges = List.of(
                new RowRange(fragments.get(1).id(), 5, 9),
                new RowRange(fragments.get(0).id(), 39, 40),
                new RowRange(fragments.get(2).id(), 0, 20),
                new RowRange(fragments.get(0).id(), 39, 40));
        int[] rows = IntStream.of(45, 46, 47, 48, 39).toArray();
        try (RecordBatch batch = batchOf(ranges);
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            for (int i = 0; i < rows.length; i++) {
                assertRow(root, i, rows[i]);
            }
            assertRow(root, 24, 99);
            assertRow(root, 25, 39);
        }
    }

    @ParameterizedTest
    @CsvSource({"0, 50", "3, 20", "8, 16"})
    void listsOfBoolsReadTheSameFromAnyRowOn(int begin, int end, @TempDir Path target) throws IOException {
        String uri = target.resolve("flags.lance").toString();
        try (FixedSizeListVector list = FixedSizeListVector.empty("flags", 3, allocator)) {
            BitVector items = (BitVector) list.addOrGetVector(FieldType.nullable(ArrowType.Bool.INSTANCE))
                    .getVector();
            for (int i = 0; i < 50; i++) {
                list.setNotNull(i);
                items.setSafe(3 * i, i % 2);
                items.setSafe(3 * i + 1, i % 3 == 0 ? 1 : 0);
                items.setSafe(3 * i + 2, 1);
            }
            list.setValueCount(50);
            var message = new ByteArrayOutputStream();
            try (var writer = new ArrowStreamWriter(new VectorSchemaRoot(List.of(list)), null, message)) {
                writer.writeBatch();
            }
            var reader = new ArrowStreamReader(new ByteArrayInputStream(message.toByteArray()), allocator);
            ArrowInterop.write(allocator, reader, LanceWriter.to(uri, Schema.of()));
        }
        try (LanceDataset written = LanceDataset.open(uri);
                Scan scan = written.scan()
                        .ranges(List.of(
                                new RowRange(written.fragments().getFirst().id(), begin, end)))
                        .open();
                RecordBatch batch = scan.next();
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            assertThat(root.getRowCount()).isEqualTo(end - begin);
            for (int i = begin; i < end; i++) {
                assertThat(root.getVector("flags").getObject(i - begin))
                        .isEqualTo(List.of(i % 2 == 1, i % 3 == 0, true));
            }
        }
    }

    @Test
    void vectorsHaveTheAddressesOfTheColumns() {
        try (RecordBatch batch = firstRows(40);
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            for (String name : List.of("id", "small", "number", "half", "single", "double", "flag")) {
                assertThat(root.getVector(name).getDataBufferAddress())
                        .as(name)
                        .isEqualTo(batch.column(name).buffer(1).address());
            }
            for (String name : List.of("bytes", "text")) {
                Column column = batch.column(name);
                assertThat(root.getVector(name).getOffsetBufferAddress())
                        .as(name)
                        .isEqualTo(column.buffer(1).address());
                assertThat(root.getVector(name).getDataBufferAddress())
                        .as(name)
                        .isEqualTo(column.buffer(2).address());
            }
            assertThat(root.getVector("double").getValidityBufferAddress())
                    .isEqualTo(batch.column("double").buffer(0).address());
            var items = ((FixedSizeListVector) root.getVector("vector")).getDataVector();
            assertThat(items.getDataBufferAddress())
                    .isEqualTo(batch.column("vector").child(0).buffer(1).address());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void eitherSideClosesFirst(boolean batchFirst) {
        RecordBatch batch = firstRows(40);
        VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch);
        if (batchFirst) {
            batch.close();
            assertThat(Alive.now()).containsKey("lance bytes");
            assertRow(root, 39, 39);
            root.close();
        } else {
            root.close();
            assertThat(allocator.getAllocatedMemory()).isZero();
            assertThat(batch.column("id").integer(39)).isEqualTo(39);
            batch.close();
        }
        assertThat(Alive.now()).containsOnlyKeys("lance DATASET");
    }

    @Test
    void oneVectorThatIsTransferredAwayKeepsTheMemory() {
        FieldVector kept;
        try (RecordBatch batch = firstRows(40);
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            var transfer = root.getVector("id").getTransferPair(allocator);
            transfer.transfer();
            kept = (FieldVector) transfer.getTo();
        }
        assertThat(Alive.now()).containsKey("lance bytes");
        assertThat(kept.getObject(39)).isEqualTo(39L);
        kept.close();
        assertThat(Alive.now()).containsOnlyKeys("lance DATASET");
    }

    @Test
    void aBatchGoesOverTwice() {
        try (RecordBatch batch = firstRows(10);
                VectorSchemaRoot first = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            VectorSchemaRoot second = ArrowInterop.toVectorSchemaRoot(allocator, batch);
            assertThat(second.getVector("id").getDataBufferAddress())
                    .isEqualTo(first.getVector("id").getDataBufferAddress());
            second.close();
            assertRow(first, 9, 9);
        }
    }

    @Test
    void aBatchWithoutRowsHasEmptyVectors() {
        try (RecordBatch batch = dataset.take(new long[0]);
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch)) {
            assertThat(root.getRowCount()).isZero();
            assertThat(root.getFieldVectors())
                    .hasSize(SCHEMA.fields().size())
                    .allMatch(vector -> vector.getValueCount() == 0);
        }
    }

    @Test
    void aClosedBatchIsRefused() {
        RecordBatch batch = firstRows(10);
        batch.close();
        assertThatThrownBy(() -> ArrowInterop.toVectorSchemaRoot(allocator, batch))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("column id is closed");
    }

    @Test
    void anAllocatorWithoutRoomForTheStructLeavesNothingBehind() {
        try (RecordBatch batch = firstRows(40);
                BufferAllocator small = allocator.newChildAllocator("small", 0, 50)) {
            assertThatThrownBy(() -> ArrowInterop.toVectorSchemaRoot(small, batch))
                    .isInstanceOf(OutOfMemoryException.class);
            assertThat(small.getAllocatedMemory()).isZero();
        }
    }

    // ---- a scan as a reader ----

    @Test
    void readerReadsAllRowsInOrder() throws IOException {
        try (ArrowReader reader =
                ArrowInterop.reader(allocator, dataset.scan().batchSize(16).open())) {
            assertThat(reader.getVectorSchemaRoot().getSchema().getFields())
                    .extracting(org.apache.arrow.vector.types.pojo.Field::getName)
                    .isEqualTo(SCHEMA.names());
            int i = 0;
            while (reader.loadNextBatch()) {
                VectorSchemaRoot root = reader.getVectorSchemaRoot();
                for (int row = 0; row < root.getRowCount(); row++) {
                    assertRow(root, row, i++);
                }
            }
            assertThat(i).isEqualTo(ROWS);
            assertThat(reader.bytesRead()).isGreaterThan(ROWS * 40);
            assertThat(reader.loadNextBatch()).isFalse();
        }
    }

    @Test
    void readerClosesItsScanBeforeTheEnd() throws IOException {
        Scan scan = dataset.scan().batchSize(16).open();
        ArrowReader reader = ArrowInterop.reader(allocator, scan);
        assertThat(reader.loadNextBatch()).isTrue();
        reader.close();
        assertThatThrownBy(scan::next).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void readerThrowsWhatTheScanThrows() throws IOException {
        Scan scan = dataset.scan().open();
        try (ArrowReader reader = ArrowInterop.reader(allocator, scan)) {
            scan.cancel();
            assertThatThrownBy(reader::loadNextBatch).isInstanceOf(CancelledException.class);
        }
    }

    // ---- vectors as columns and tensors ----

    private VectorSchemaRoot made(int rows) {
        BigIntVector id = new BigIntVector("id", allocator);
        Float4Vector single = new Float4Vector("single", allocator);
        Float8Vector real = new Float8Vector("double", allocator);
        BitVector flag = new BitVector("flag", allocator);
        VarCharVector text = new VarCharVector("text", allocator);
        FixedSizeListVector list = FixedSizeListVector.empty("vector", 3, allocator);
        list.addOrGetVector(FieldType.nullable(new ArrowType.Int(32, true)));
        IntVector items = (IntVector) list.getDataVector();
        for (int i = 0; i < rows; i++) {
            id.setSafe(i, i);
            single.setSafe(i, i / 2f);
            if (i % 3 == 0) {
                real.setNull(i);
            } else {
                real.setSafe(i, i / 4.0);
            }
            flag.setSafe(i, i % 2);
            text.setSafe(i, ("row " + i).getBytes(StandardCharsets.UTF_8));
            list.setNotNull(i);
            for (int j = 0; j < 3; j++) {
                items.setSafe(3 * i + j, 10 * i + j);
            }
        }
        List<FieldVector> vectors = List.of(id, single, real, flag, text, list);
        vectors.forEach(vector -> vector.setValueCount(rows));
        return new VectorSchemaRoot(vectors);
    }

    private static void assertMade(RecordBatch batch, int begin) {
        for (int row = 0; row < batch.rows(); row++) {
            int i = begin + row;
            assertThat(batch.column("id").integer(row)).isEqualTo(i);
            assertThat(batch.column("single").real(row)).isEqualTo(i / 2f);
            assertThat(batch.column("double").isNull(row)).isEqualTo(i % 3 == 0);
            if (i % 3 != 0) {
                assertThat(batch.column("double").real(row)).isEqualTo(i / 4.0);
            }
            assertThat(batch.column("flag").integer(row)).isEqualTo(i % 2);
            assertThat(batch.column("text").text(row)).isEqualTo("row " + i);
            assertThat(batch.column("vector").child(0).integer(3L * row + 2)).isEqualTo(10L * i + 2);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 50})
    void vectorsReadTheSameAsColumns(int rows) {
        try (VectorSchemaRoot root = made(rows);
                RecordBatch batch = ArrowInterop.toRecordBatch(allocator, root)) {
            assertThat(batch.rows()).isEqualTo(rows);
            assertThat(batch.schema().names()).containsExactly("id", "single", "double", "flag", "text", "vector");
            assertMade(batch, 0);
        }
    }

    @Test
    void aSliceOfVectorsReadsTheSame() {
        try (VectorSchemaRoot root = made(50);
                VectorSchemaRoot slice = root.slice(13, 20);
                RecordBatch batch = ArrowInterop.toRecordBatch(allocator, slice)) {
            assertThat(batch.rows()).isEqualTo(20);
            assertMade(batch, 13);
            assertThat(batch.column("id").buffer(1).address())
                    .isEqualTo(root.getVector("id").getDataBufferAddress() + 13 * 8);
        }
    }

    @Test
    void tensorsHaveTheAddressesOfTheVectors() {
        try (VectorSchemaRoot all = made(50);
                var _ = new TensorScope();
                VectorSchemaRoot root = new VectorSchemaRoot(List.of(
                        all.getVector("id"),
                        all.getVector("single"),
                        all.getVector("vector"),
                        all.getVector("flag")))) {
            Map<String, Tensor> tensors = ArrowInterop.tensors(allocator, root);
            assertThat(tensors.keySet()).containsExactly("id", "single", "vector", "flag");
            assertThat(tensors.get("id").dataPointer())
                    .isEqualTo(all.getVector("id").getDataBufferAddress());
            assertThat(tensors.get("single").dataPointer())
                    .isEqualTo(all.getVector("single").getDataBufferAddress());
            assertThat(tensors.get("vector").dataPointer())
                    .isEqualTo(((FixedSizeListVector) all.getVector("vector"))
                            .getDataVector()
                            .getDataBufferAddress());
            assertThat(tensors.get("vector").shape()).containsExactly(50, 3);
            assertThat(tensors.get("vector").dtype()).isEqualTo(DType.INT32);
            assertThat(tensors.get("flag").dtype()).isEqualTo(DType.BOOL);
            assertThat(Ops.sum(tensors.get("flag")).item()).isEqualTo(25);
            assertThat(Ops.sum(tensors.get("id")).item()).isEqualTo(49 * 25);
        }
    }

    /** A scan's batch becomes vectors, those columns, those a tensor; then they close in every order. */
    @Test
    void aChainClosesInEveryOrder() {
        for (int seed = 0; seed < 40; seed++) {
            RecordBatch batch = firstRows(40, "id");
            VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch);
            RecordBatch again = ArrowInterop.toRecordBatch(allocator, root);
            Tensor tensor = ArrowInterop.tensors(allocator, root).get("id");
            Tensor theirs = tensor.share();
            VectorSchemaRoot last = ArrowInterop.toVectorSchemaRoot(allocator, Map.of("id", tensor));
            assertThat(last.getVector("id").getDataBufferAddress())
                    .isEqualTo(batch.column(0).buffer(1).address());
            List<AutoCloseable> all = new ArrayList<>(List.of(batch, root, again, tensor, theirs, last));
            Collections.shuffle(all, new Random(seed));
            for (int i = 0; i < all.size(); i++) {
                assertThat(Alive.now()).as("seed " + seed).containsEntry("lance bytes", 40L * 8);
                try {
                    all.get(i).close();
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            }
            assertThat(Alive.now()).as("seed " + seed).containsOnlyKeys("lance DATASET");
            assertThat(allocator.getAllocatedMemory()).isZero();
        }
    }

    @Test
    void aTensorIsClosedOnAnotherThread() throws InterruptedException {
        Tensor tensor;
        try (VectorSchemaRoot root = new VectorSchemaRoot(List.of(vectorOf(1, 2, 3)))) {
            tensor = ArrowInterop.tensors(allocator, root).get("x");
        }
        assertThat(allocator.getAllocatedMemory()).isPositive();
        Thread thread = new Thread(tensor::close);
        thread.start();
        thread.join();
        assertThat(allocator.getAllocatedMemory()).isZero();
    }

    private BigIntVector vectorOf(long... values) {
        BigIntVector vector = new BigIntVector("x", allocator);
        for (int i = 0; i < values.length; i++) {
            vector.setSafe(i, values[i]);
        }
        vector.setValueCount(values.length);
        return vector;
    }

    @Test
    void whatATensorCannotHoldIsRefused() {
        try (VectorSchemaRoot all = made(10)) {
            assertThatThrownBy(() -> ArrowInterop.tensors(
                            allocator, new VectorSchemaRoot(List.of(all.getVector("id"), all.getVector("double")))))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContaining("column double has 4 nulls, the first in row 0");
            assertThatThrownBy(() -> ArrowInterop.tensors(
                            allocator, new VectorSchemaRoot(List.of(all.getVector("id"), all.getVector("text")))))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContaining("column text is utf8");
            assertThatThrownBy(() -> ArrowInterop.tensors(
                            allocator, new VectorSchemaRoot(List.of(all.getVector("id"), all.getVector("id")))))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("two vectors have the name id");
        }
    }

    @Test
    void aDictionaryIsRefused() {
        try (VarCharVector words = new VarCharVector("words", allocator);
                VarCharVector text = new VarCharVector("text", allocator)) {
            words.setSafe(0, new byte[] {'a'});
            words.setValueCount(1);
            text.setSafe(0, new byte[] {'a'});
            text.setValueCount(1);
            var dictionary = new Dictionary(words, new DictionaryEncoding(1, false, null));
            try (FieldVector encoded = (FieldVector) DictionaryEncoder.encode(text, dictionary);
                    VectorSchemaRoot root = new VectorSchemaRoot(List.of(encoded))) {
                assertThatThrownBy(() -> ArrowInterop.toRecordBatch(allocator, root))
                        .isInstanceOf(UnsupportedException.class)
                        .hasMessageContaining("column text is encoded with a dictionary");
            }
        }
    }

    // ---- structs of the C data interface ----

    @Test
    void structsThatDoNotBelongTogetherAreRefusedAndReleased() {
        try (VectorSchemaRoot root = made(5);
                VectorSchemaRoot other = new VectorSchemaRoot(List.of(root.getVector("id")));
                ArrowArray array = ArrowArray.allocateNew(allocator);
                ArrowSchema schema = ArrowSchema.allocateNew(allocator);
                ArrowSchema second = ArrowSchema.allocateNew(allocator)) {
            MemorySegment arrayAt = MemorySegment.ofAddress(array.memoryAddress());
            MemorySegment schemaAt = MemorySegment.ofAddress(schema.memoryAddress());
            Data.exportVectorSchemaRoot(allocator, root, null, array);
            Data.exportSchema(allocator, other.getSchema(), null, schema);
            assertThatThrownBy(() -> RecordBatch.importFrom(arrayAt, schemaAt))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("6 columns for the 1");
            assertThat(array.snapshot().release).isZero();
            assertThat(schema.snapshot().release).isZero();

            assertThatThrownBy(() -> RecordBatch.importFrom(arrayAt, schemaAt))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("ArrowSchema was released or moved");
            Data.exportSchema(allocator, root.getSchema(), null, schema);
            assertThatThrownBy(() -> RecordBatch.importFrom(arrayAt, schemaAt))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("ArrowArray was released or moved");
            Data.exportVector(allocator, root.getVector("id"), null, array, second);
            assertThatThrownBy(() -> RecordBatch.importFrom(arrayAt, MemorySegment.ofAddress(second.memoryAddress())))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("format l, not of a struct");
            assertThat(array.snapshot().release).isZero();
        }
    }

    // ---- writing ----

    @Test
    void aReaderIsWrittenInOneCommit(@TempDir Path target) throws IOException {
        String uri = target.resolve("copy.lance").toString();
        ArrowReader reader =
                ArrowInterop.reader(allocator, dataset.scan().batchSize(16).open());
        long version = ArrowInterop.write(allocator, reader, LanceWriter.to(uri, Schema.of()));
        assertThat(version).isEqualTo(1);
        try (LanceDataset copy = LanceDataset.open(uri);
                ArrowReader back = ArrowInterop.reader(
                        allocator, copy.scan().batchSize(1000).open())) {
            assertThat(copy.schema().names()).isEqualTo(SCHEMA.names());
            assertThat(back.loadNextBatch()).isTrue();
            for (int i = 0; i < ROWS; i++) {
                assertRow(back.getVectorSchemaRoot(), i, i);
            }
        }
    }

    @Test
    void aReaderThatFailsCommitsNothing(@TempDir Path target) {
        String uri = target.resolve("copy.lance").toString();
        Scan scan = dataset.scan().batchSize(16).open();
        scan.cancel();
        assertThatThrownBy(() -> ArrowInterop.write(
                        allocator, ArrowInterop.reader(allocator, scan), LanceWriter.to(uri, Schema.of())))
                .isInstanceOf(StorageException.class)
                .hasMessageContaining("cancel");
        assertThatThrownBy(() -> LanceDataset.open(uri)).isInstanceOf(NotFoundException.class);
    }

    @Test
    void batchesAreWrittenOneByOneInOneCommit(@TempDir Path target) {
        String uri = target.resolve("made.lance").toString();
        LanceWriter writer = null;
        for (int i = 0; i < 3; i++) {
            try (VectorSchemaRoot root = made(50);
                    VectorSchemaRoot slice = root.slice(10 * i, 10);
                    RecordBatch batch = ArrowInterop.toRecordBatch(allocator, slice)) {
                if (writer == null) {
                    writer = LanceWriter.to(uri, batch.schema()).open();
                }
                writer.write(batch);
            }
        }
        assertThat(writer.finish()).isEqualTo(1);
        try (LanceDataset written = LanceDataset.open(uri);
                RecordBatch batch =
                        written.take(IntStream.range(0, 30).asLongStream().toArray())) {
            assertMade(batch, 0);
        }
    }

    @Test
    void aBatchOfOtherColumnsIsNotWritten(@TempDir Path target) {
        String uri = target.resolve("made.lance").toString();
        try (LanceWriter writer = LanceWriter.to(uri, SCHEMA).open();
                VectorSchemaRoot root = made(5)) {
            RecordBatch batch = ArrowInterop.toRecordBatch(allocator, root);
            assertThatThrownBy(() -> writer.write(batch)).isInstanceOf(InvalidArgumentException.class);
            batch.close();
            assertThatThrownBy(() -> writer.write(batch)).isInstanceOf(IllegalStateException.class);
        }
    }

    // ---- tensors and a loader's batches as vectors ----

    @Test
    void aLoadersBatchBecomesVectorsOverItsMemory() {
        List<VectorSchemaRoot> roots = new ArrayList<>();
        try (DataLoader loader = DataLoader.of(dataset)
                .columns("id", "single", "vector")
                .batchSize(32)
                .open()) {
            for (Batch batch : loader) {
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, batch);
                assertThat(root.getVector("id").getDataBufferAddress())
                        .isEqualTo(batch.get("id").dataPointer());
                assertThat(((FixedSizeListVector) root.getVector("vector"))
                                .getDataVector()
                                .getDataBufferAddress())
                        .isEqualTo(batch.get("vector").dataPointer());
                roots.add(root);
            }
        }
        int i = 0;
        for (VectorSchemaRoot root : roots) {
            for (int row = 0; row < root.getRowCount(); row++, i++) {
                assertThat(root.getVector("id").getObject(row)).isEqualTo((long) i);
                assertThat(root.getVector("single").getObject(row)).isEqualTo(i + 0.5f);
                assertThat(root.getVector("vector").getObject(row))
                        .isEqualTo(List.of((float) i, i + 1f, i + 2f, i + 3f));
            }
            root.close();
        }
        assertThat(i).isEqualTo(ROWS);
    }

    /** A loader decodes into memory that it uses again, but not while somebody has a vector over it. */
    @Test
    void imagesThatAreKeptDoNotChangeWhileTheLoaderGoesOn(@TempDir Path target) {
        String uri = target.resolve("grays.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"))).open()) {
            for (int i = 0; i < 60; i++) {
                byte[] pixels = new byte[3 * 8 * 8];
                Arrays.fill(pixels, (byte) (4 * i));
                writer.append((Object) ImageCodec.encodeJpeg(pixels, 8, 8, 95));
            }
            writer.finish();
        }
        List<VectorSchemaRoot> roots = new ArrayList<>();
        try (LanceDataset images = LanceDataset.open(uri);
                DataLoader loader = DataLoader.of(images)
                        .image("image", ImageTransform.resize(8, 8))
                        .batchSize(6)
                        .open()) {
            for (Batch batch : loader) {
                roots.add(ArrowInterop.toVectorSchemaRoot(allocator, batch));
            }
        }
        for (int step = 0; step < roots.size(); step++) {
            try (VectorSchemaRoot root = roots.get(step);
                    Tensor back = ArrowInterop.tensors(allocator, root).get("image")) {
                assertThat(back.shape()).containsExactly(6, 8, 8, 3);
                for (int row = 0; row < 6; row++) {
                    float pixel = back.data().getAtIndex(ValueLayout.JAVA_FLOAT, row * 3L * 8 * 8);
                    assertThat(pixel * 255).isCloseTo(4 * (6 * step + row), within(2f));
                }
            }
        }
        assertThat(roots).hasSize(10);
    }

    @Test
    void everyDtypeGoesOverAndBack() {
        try (var _ = new TensorScope()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            for (DType dtype : DType.values()) {
                if (dtype != DType.BFLOAT16) {
                    tensors.put(dtype.name(), Ops.arange(24).to(DType.INT64).to(dtype));
                }
            }
            tensors.replaceAll((_, tensor) -> Ops.reshape(tensor, 4, 2, 3));
            try (VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, tensors)) {
                assertThat(root.getRowCount()).isEqualTo(4);
                assertThat(root.getVector("INT16").getObject(1))
                        .isEqualTo(List.of(
                                List.of((short) 6, (short) 7, (short) 8), List.of((short) 9, (short) 10, (short) 11)));
                assertThat(root.getVector("INT16").getNullCount()).isZero();
                Map<String, Tensor> back = ArrowInterop.tensors(allocator, root);
                tensors.forEach((name, tensor) -> {
                    assertThat(back.get(name).dtype().name()).isEqualTo(name);
                    assertThat(back.get(name).shape()).containsExactly(4, 2, 3);
                    assertThat(back.get(name).data().toArray(ValueLayout.JAVA_BYTE))
                            .as(name)
                            .isEqualTo(tensor.data().toArray(ValueLayout.JAVA_BYTE));
                    if (tensor.dtype() != DType.BOOL) {
                        assertThat(back.get(name).dataPointer()).isEqualTo(tensor.dataPointer());
                    }
                });
            }
        }
    }

    @Test
    void channelsLastBecomesListsInTheOrderOfItsMemory() {
        try (var _ = new TensorScope()) {
            Tensor images = Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CHANNELS_LAST, false, 2, 3, 4, 5);
            images.copyFrom(Ops.reshape(Ops.arange(120), 2, 3, 4, 5));
            try (VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, Map.of("image", images))) {
                Tensor back = ArrowInterop.tensors(allocator, root).get("image");
                assertThat(back.shape()).containsExactly(2, 4, 5, 3);
                assertThat(back.dataPointer()).isEqualTo(images.dataPointer());
                assertThat(Ops.equal(Ops.permute(back, 0, 3, 1, 2), images)).isTrue();
            }
        }
    }

    @Test
    void noRowsAreNoRows() {
        try (Tensor none = Tensor.empty(DType.FLOAT32, 0, 7);
                VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, Map.of("x", none));
                VectorSchemaRoot nothing = ArrowInterop.toVectorSchemaRoot(allocator, Map.of())) {
            assertThat(root.getRowCount()).isZero();
            assertThat(root.getVector("x").getValueCount()).isZero();
            assertThat(nothing.getFieldVectors()).isEmpty();
        }
    }

    @Test
    void aRootKeepsATensorThatIsClosed() {
        Tensor tensor = Tensor.of(new long[] {1, 2, 3});
        VectorSchemaRoot root = ArrowInterop.toVectorSchemaRoot(allocator, Map.of("x", tensor));
        tensor.close();
        assertThat(Alive.now()).containsEntry("torch TENSOR", 1L);
        assertThat(root.getVector("x").getObject(2)).isEqualTo(3L);
        root.close();
        assertThat(Alive.now()).containsOnlyKeys("lance DATASET");
        assertThatThrownBy(() -> ArrowInterop.toVectorSchemaRoot(allocator, Map.of("x", tensor)))
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void tensorsThatVectorsCannotBeAreRefused() {
        try (var _ = new TensorScope()) {
            Tensor matrix = Ops.zeros(DType.FLOAT32, 4, 3);
            Map<String, Tensor> uneven = new LinkedHashMap<>();
            uneven.put("a", matrix);
            uneven.put("b", Ops.zeros(DType.FLOAT32, 5));
            assertRefused(uneven, InvalidArgumentException.class, "tensor b has 5 rows, and those before it have 4");
            assertRefused(
                    Map.of("a", Ops.permute(matrix, 1, 0)), InvalidArgumentException.class, "does not lie row by row");
            assertRefused(
                    Map.of("a", Ops.narrow(matrix, 1, 0, 2)),
                    InvalidArgumentException.class,
                    "does not lie row by row");
            assertRefused(Map.of("a", Ops.sum(matrix)), InvalidArgumentException.class, "no dimensions");
            assertRefused(Map.of("a", matrix.to(DType.BFLOAT16)), UnsupportedException.class, "bfloat16");
            // A stride of 0: so many rows of so little memory.
            Tensor row = Ops.zeros(DType.FLOAT32, 1);
            assertRefused(
                    Map.of("a", (Tensor) io.lancetorch.tensor.Op.find("aten::expand", "")
                            .callAll(row, new long[] {1L << 31}, false)[0]),
                    InvalidArgumentException.class,
                    "row by row");
        }
    }

    private void assertRefused(Map<String, Tensor> tensors, Class<? extends Throwable> type, String words) {
        assertThatThrownBy(() -> ArrowInterop.toVectorSchemaRoot(allocator, tensors))
                .isInstanceOf(type)
                .hasMessageContaining(words);
    }

    @Test
    void anAllocatorThatIsTooSmallForATensorLeavesNothingBehind() {
        try (Tensor tensor = Ops.zeros(DType.FLOAT32, 1000);
                BufferAllocator small = allocator.newChildAllocator("small", 0, 4050)) {
            assertThatThrownBy(() -> ArrowInterop.toVectorSchemaRoot(small, Map.of("x", tensor)))
                    .isInstanceOf(OutOfMemoryException.class);
            assertThat(small.getAllocatedMemory()).isZero();
            assertThat(Alive.now()).containsEntry("torch TENSOR", 1L);
        }
        try (Tensor tensor = Ops.zeros(DType.FLOAT32, 1000);
                BufferAllocator small = allocator.newChildAllocator("small", 0, 100)) {
            assertThatThrownBy(() -> ArrowInterop.toVectorSchemaRoot(small, Map.of("x", tensor)))
                    .isInstanceOf(OutOfMemoryException.class);
        }
    }
}
