package io.lancetorch.lance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Many rows are written at once, from native memory and from the columns of a scan. */
class AppendColumnsTest {
    private static final Schema SCHEMA =
            Schema.of(Field.int64("id"), Field.fixedSizeList("vector", Field.float32("item"), 3), Field.utf8("text"));

    @TempDir
    private Path folder;

    private final Arena arena = Arena.ofConfined();
    private String source;
    private String target;

    @BeforeEach
    void writeSource() {
        source = folder.resolve("source.lance").toString();
        target = folder.resolve("target.lance").toString();
        try (var writer = LanceWriter.to(source, SCHEMA).maxRowsPerFile(40).open()) {
            for (long i = 0; i < 100; i++) {
                writer.append(i, new float[] {i, i + 0.5f, -i}, i % 10 == 3 ? null : "row " + i);
            }
            writer.finish();
        }
    }

    @AfterEach
    void free() {
        arena.close();
    }

    /** Text, ids and vectors of all rows. */
    private static List<String> rows(String uri) {
        List<String> rows = new ArrayList<>();
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan().batchSize(7).open()) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    Column values = batch.column("vector").child(0);
                    long first = 3 * batch.column("vector").offset();
                    for (int i = 0; i < batch.rows(); i++) {
                        rows.add(batch.column("id").integer(i) + " "
                                + values.real(first + 3 * i + 1) + " "
                                + batch.column("text").text(i));
                    }
                }
            }
        }
        return rows;
    }

    @Test
    void columnsOfAScanAreWrittenAsTheyAre() {
        try (var dataset = LanceDataset.open(source);
                Scan scan = dataset.scan().batchSize(16).open();
                var writer = LanceWriter.to(target, SCHEMA).open()) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    writer.appendColumns(batch.rows(), batch.column(0), batch.column(1), batch.column(2));
                }
            }
            writer.finish();
        }
        assertThat(rows(target)).isEqualTo(rows(source)).hasSize(100);
    }

    @Test
    void memoryAndRowsKeepTheirOrder() {
        Schema schema = Schema.of(Field.int64("id"), Field.fixedSizeList("vector", Field.float32("item"), 3));
        MemorySegment ids = arena.allocateFrom(ValueLayout.JAVA_LONG, 10, 11, 12);
        MemorySegment vectors = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0, 1, 2, 3, 4, 5, 6, 7, 8);
        try (var writer = LanceWriter.to(target, schema).open()) {
            writer.append(1L, new float[] {9, 9, 9});
            writer.appendColumns(3, ids, vectors);
            writer.appendColumns(0, arena.allocate(0), arena.allocate(0));
            writer.append(2L, null);
            // The memory is the caller's again: what was appended is a copy.
            ids.fill((byte) 0);
            writer.appendColumns(1, ids.asSlice(0, 8), vectors.asSlice(0, 12));
            writer.finish();
        }
        try (var dataset = LanceDataset.open(target);
                Scan scan = dataset.scan().open();
                RecordBatch batch = scan.next()) {
            assertThat(IntStream.range(0, 6)
                            .mapToLong(i -> batch.column("id").integer(i))
                            .toArray())
                    .containsExactly(1, 10, 11, 12, 2, 0);
            assertThat(batch.column("vector").isNull(4)).isTrue();
            Column values = batch.column("vector").child(0);
            assertThat(values.real(3 * 2 + 1)).isEqualTo(4);
        }
    }

    @Test
    void whatDoesNotFitIsRefusedAndNothingIsAdded() {
        MemorySegment ids = arena.allocate(80, 8);
        MemorySegment vectors = arena.allocate(120, 8);
        try (var dataset = LanceDataset.open(source);
                RecordBatch ten =
                        dataset.take(IntStream.range(0, 10).asLongStream().toArray());
                var writer = LanceWriter.to(target, SCHEMA).open()) {
            Column text = ten.column("text");
            assertThatThrownBy(() -> writer.appendColumns(10, ids, vectors))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("3 columns");
            assertThatThrownBy(() -> writer.appendColumns(10, ids.asSlice(8), vectors, text))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("column id")
                    .hasMessageContaining("80");
            assertThatThrownBy(() -> writer.appendColumns(9, ids.asSlice(8), vectors.asSlice(12), text))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("column text");
            assertThatThrownBy(() -> writer.appendColumns(10, ids, text, text))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("column vector");
            assertThatThrownBy(() -> writer.appendColumns(10, ids, vectors, ids))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContaining("column text");
            assertThatThrownBy(() -> writer.appendColumns(10, MemorySegment.ofArray(new long[10]), vectors, text))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("native memory");
            assertThatThrownBy(() -> writer.appendColumns(10, ids, null, text))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("column vector");
            assertThatThrownBy(() -> writer.appendColumns(-1, ids, vectors, text))
                    .isInstanceOf(InvalidArgumentException.class);
            writer.appendColumns(10, ids, vectors, text);
            writer.finish();
        }
        assertThat(rows(target)).hasSize(10).allMatch(row -> row.startsWith("0 0.0 "));
    }
}
