package io.lancetorch.lance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.testing.TestData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each is a typed exception that names the thing, and the process lives on. */
class BadInputTest {
    @TempDir
    private Path folder;

    private LanceDataset good;

    @BeforeEach
    void open() {
        good = LanceDataset.open(TestData.resource("lance/python-2.1.lance").toString());
    }

    @AfterEach
    void stillWorks() {
        try (RecordBatch batch = good.take(new long[] {3}, "id")) {
            assertThat(batch.column("id").integer(0)).isEqualTo(3);
        }
        good.close();
    }

    @Test
    void datasetThatIsNotThere() {
        Path nowhere = folder.resolve("nowhere.lance");
        assertThatThrownBy(() -> LanceDataset.open(nowhere.toString()))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("nowhere.lance");
        assertThatThrownBy(() -> LanceDataset.open(folder.toString()))
                .as("a folder that is none")
                .isInstanceOf(NotFoundException.class);
    }

    @Test
    void versionAndTagThatAreNotThere() {
        String uri = good.uri();
        assertThatThrownBy(() -> LanceDataset.openVersion(uri, Map.of(), 77))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("77");
        assertThatThrownBy(() -> LanceDataset.openVersion(uri, Map.of(), 0))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("0");
        assertThatThrownBy(() -> LanceDataset.openTag(uri, Map.of(), "release"))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("release");
    }

    @Test
    void schemeThatThisBuildLeavesOut() {
        assertThatThrownBy(() -> LanceDataset.open("nosuch://bucket/data.lance"))
                .isInstanceOfAny(UnsupportedException.class, InvalidArgumentException.class)
                .hasMessageContaining("nosuch");
        assertThatThrownBy(() -> LanceDataset.open("")).isInstanceOf(LanceTorchException.class);
    }

    @Test
    void columnThatIsNotThere() {
        assertThatThrownBy(() -> good.scan().columns("id", "labell").open())
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("labell");
    }

    @Test
    void filterThatDoesNotParseOrNamesNoColumn() {
        assertThatThrownBy(() -> good.scan().filter("id <<< 3").open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("id <<< 3");
        assertThatThrownBy(() -> good.scan().filter("labell = 3").open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("labell");
        assertThatThrownBy(() -> good.countRows("id ==")).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> good.countRows("labell = 3")).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void rangesBeyondAFragment() {
        for (RowRange range : List.of(
                new RowRange(0, 0, 7), new RowRange(0, 5, 3), new RowRange(0, -1, 3), new RowRange(0, 100, 101))) {
            assertThatThrownBy(() -> good.scan().ranges(List.of(range)).open())
                    .as(range.toString())
                    .isInstanceOf(InvalidArgumentException.class);
        }
        assertThatThrownBy(() ->
                        good.scan().ranges(List.of(new RowRange(42, 0, 1))).open())
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("42");
    }

    @Test
    void sizesOutOfBounds() {
        assertThatThrownBy(() -> good.scan().batchSize(0).open()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> good.scan().readAhead(0).open()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> good.scan()
                        .filter("id > 1")
                        .batches(List.of(List.of(new RowRange(0, 0, 1))))
                        .open())
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Lance.numThreads(0)).isInstanceOf(InvalidArgumentException.class);
    }

    private static Throwable readAll(Path dataset) {
        return catchThrowable(() -> {
            try (var opened = LanceDataset.open(dataset.toString());
                    Scan scan = opened.scan().batchSize(4).open()) {
                for (RecordBatch next; (next = scan.next()) != null; ) {
                    try (RecordBatch batch = next) {
                        for (int row = 0; row < batch.rows(); row++) {
                            batch.column("text").text(row);
                            batch.column("image").bytes(row);
                        }
                    }
                }
            }
        });
    }

    private static List<Path> files(Path dataset, String ending) throws IOException {
        try (var walk = Files.walk(dataset)) {
            return walk.filter(path -> path.toString().endsWith(ending))
                    .sorted()
                    .toList();
        }
    }

    @Test
    void dataFileCutShort() throws IOException {
        for (String version : List.of("legacy", "2.0", "2.1")) {
            Path source = TestData.resource("lance/python-" + version + ".lance");
            for (double part : new double[] {0, 0.1, 0.5, 0.9, 0.999}) {
                Path copy = TestData.copy(source, folder.resolve(version + "-" + part + ".lance"));
                for (Path file : files(copy, ".lance")) {
                    if (Files.isRegularFile(file)) {
                        byte[] whole = Files.readAllBytes(file);
                        Files.write(file, Arrays.copyOf(whole, (int) (whole.length * part)));
                    }
                }
                assertThat(readAll(copy))
                        .as("version %s, cut to %s", version, part)
                        .isInstanceOfAny(CorruptDataException.class, StorageException.class);
            }
        }
    }

    @Test
    void dataFileThatIsGone() throws IOException {
        Path copy = TestData.copy(TestData.resource("lance/python-2.1.lance"), folder.resolve("gone.lance"));
        Path file = files(copy, ".lance").stream()
                .filter(Files::isRegularFile)
                .findFirst()
                .orElseThrow();
        Files.delete(file);
        assertThat(readAll(copy))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining(file.getFileName().toString());
    }

    @Test
    void manifestCutShort() throws IOException {
        for (double part : new double[] {0, 0.3, 0.9}) {
            Path copy = TestData.copy(TestData.resource("lance/python-2.1.lance"), folder.resolve("m" + part));
            Path manifest = files(copy, ".manifest").getFirst();
            byte[] whole = Files.readAllBytes(manifest);
            Files.write(manifest, Arrays.copyOf(whole, (int) (whole.length * part)));
            assertThat(readAll(copy)).as("cut to %s", part).isInstanceOf(LanceTorchException.class);
        }
    }

    @Test
    void damagedFilesAreReadOrRefusedButNeverEndTheProcess() throws IOException {
        var random = new Random(7);
        int refused = 0;
        for (String version : List.of("legacy", "2.0", "2.1")) {
            Path source = TestData.resource("lance/python-" + version + ".lance");
            Path copy = TestData.copy(source, folder.resolve("damaged-" + version + ".lance"));
            List<Path> targets = new java.util.ArrayList<>(files(copy, ".manifest"));
            files(copy, ".lance").stream().filter(Files::isRegularFile).forEach(targets::add);
            for (int i = 0; i < 60; i++) {
                Path target = targets.get(i % targets.size());
                byte[] whole = Files.readAllBytes(target);
                byte[] damaged = whole.clone();
                for (int flips = 0; flips < 5; flips++) {
                    damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
                }
                Files.write(target, damaged);
                Throwable thrown = readAll(copy);
                Files.write(target, whole);
                if (thrown != null) {
                    refused++;
                    assertThat(thrown).isInstanceOf(LanceTorchException.class);
                }
            }
            assertThat(readAll(copy)).as("undamaged again").isNull();
        }
        assertThat(refused).isGreaterThan(20);
        assertThat(Lance.liveBytes()).isZero();
    }

    @Test
    void placeThatCannotBeWritten() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "no folder");
        assertThatThrownBy(() -> {
                    try (var writer = LanceWriter.to(
                                    file.resolve("data.lance").toString(), Schema.of(Field.int64("id")))
                            .open()) {
                        writer.append(1L);
                        writer.finish();
                    }
                })
                .isInstanceOf(LanceTorchException.class)
                .hasMessageContaining("data.lance");
    }
}
