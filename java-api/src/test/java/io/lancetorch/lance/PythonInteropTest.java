package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.data.ColumnTensors;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.testing.Python;
import io.lancetorch.testing.TestData;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PythonInteropTest {
    @TempDir
    private Path folder;

    /** What src/test/python/make_fixtures.py wrote with pylance. */
    @ParameterizedTest
    @ValueSource(strings = {"legacy", "2.0", "2.1"})
    void pythonsDatasetIsRead(String version) {
        try (var dataset = LanceDataset.open(
                        TestData.resource("lance/python-" + version + ".lance").toString());
                Scan scan = dataset.scan().batchSize(10).open()) {
            assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(6L, 4L);
            assertThat(dataset.schema().metadata()).containsEntry("made by", "pylance");
            assertThat(dataset.schema().fields())
                    .extracting(field -> field.name() + " " + field.typeName())
                    .containsExactly(
                            "id int64", "vector fixed_size_list<float32>[4]", "image binary", "flag bool", "text utf8");
            int row = 0;
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next;
                        Tensor vectors = ColumnTensors.alias(batch.column("vector"));
                        Tensor flags = ColumnTensors.alias(batch.column("flag"))) {
                    assertThat(vectors.shape()).containsExactly(batch.rows(), 4);
                    assertThat(flags.dtype()).isEqualTo(DType.BOOL);
                    for (int i = 0; i < batch.rows(); i++, row++) {
                        assertThat(batch.column("id").integer(i)).isEqualTo(row);
                        assertThat(batch.column("text").text(i)).isEqualTo("row " + row + " ü");
                        assertThat(vectors.toFloats()[4 * i + 3]).isEqualTo((4 * row + 3) / 2f);
                        assertThat(flags.toLongs()[i]).isEqualTo(row % 3 == 0 ? 1 : 0);
                    }
                    var decoder = new ImageDecoder(ImageTransform.resize(8, 8).uint8(), 0);
                    try (Arena arena = Arena.ofConfined()) {
                        MemorySegment pixels =
                                arena.allocate(decoder.transform().imageBytes() * batch.rows());
                        decoder.decode(batch.column("image"), 0, batch.rows(), pixels);
                        for (int i = 0; i < batch.rows(); i++) {
                            int red = pixels.get(
                                            JAVA_BYTE, i * decoder.transform().imageBytes())
                                    & 0xff;
                            assertThat(red)
                                    .isBetween(
                                            20 * (row - (int) batch.rows() + i) - 4,
                                            20 * (row - (int) batch.rows() + i) + 4);
                        }
                    }
                }
            }
            assertThat(row).isEqualTo(10);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"legacy", "2.0", "2.1", ""})
    void pythonReadsOurs(String version) throws Exception {
        Schema schema = Schema.of(
                        Field.int64("id"),
                        Field.fixedSizeList("vector", Field.float32("item"), 3),
                        Field.binary("image"),
                        Field.bool("flag"),
                        Field.utf8("text"))
                .withMetadata(Map.of("classes", "a,b"));
        byte[] jpeg = Files.readAllBytes(TestData.resource("images/tiny.jpg"));
        Path path = folder.resolve("ours.lance");
        var builder = LanceWriter.to(path.toString(), schema).maxRowsPerFile(4);
        if (!version.isEmpty()) {
            builder.dataStorageVersion(version);
        }
        try (var writer = builder.open()) {
            for (long i = 0; i < 10; i++) {
                writer.append(i, new float[] {i, i / 2f, -i}, jpeg, i % 2 == 0, i == 7 ? null : "text " + i);
            }
            writer.finish();
        }
        String output = Python.run("pylance", """
                import sys, lance
                dataset = lance.dataset(sys.argv[1])
                table = dataset.to_table()
                print(table.schema.metadata[b"classes"].decode())
                print([fragment.count_rows() for fragment in dataset.get_fragments()])
                print(table["id"].to_pylist())
                print(table["vector"].to_pylist()[9])
                print(table["flag"].to_pylist()[:3], table["text"].to_pylist()[6:8])
                print(all(image == open(sys.argv[2], "rb").read() for image in table["image"].to_pylist()))
                """, path, TestData.resource("images/tiny.jpg"));
        assertThat(output.lines())
                .containsExactly(
                        "a,b",
                        "[4, 4, 2]",
                        "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
                        "[9.0, 4.5, -9.0]",
                        "[True, False, True] ['text 6', None]",
                        "True");
    }

    @Test
    void pythonAndWeSeeTheSameVersions() throws Exception {
        Path path = folder.resolve("both.lance");
        String output = Python.run("pylance", """
                import sys, lance, pyarrow as pa
                lance.write_dataset(pa.table({"id": pa.array([1, 2, 3], pa.int64())}), sys.argv[1])
                dataset = lance.dataset(sys.argv[1])
                dataset.tags.create("three", 1)
                dataset.delete("id = 2")
                print(lance.dataset(sys.argv[1]).version)
                """, path);
        assertThat(output.strip()).isEqualTo("2");
        try (var tagged = LanceDataset.openTag(path.toString(), Map.of(), "three");
                var latest = LanceDataset.open(path.toString())) {
            assertThat(tagged.countRows()).isEqualTo(3);
            assertThat(latest.countRows()).isEqualTo(2);
            assertThat(latest.fragments()).extracting(Fragment::deletedRows).containsExactly(1L);
            try (RecordBatch batch = latest.take(new long[] {1}, "id")) {
                assertThat(batch.column("id").integer(0))
                        .as("positions skip deleted rows")
                        .isEqualTo(3);
            }
        }
    }
}
