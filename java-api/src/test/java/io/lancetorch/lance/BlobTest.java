package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.testing.TestData;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Blobs are written, opened by position, and read in parts. Row 1 is a null, row 2 has no bytes, row 3 has 3 MB. */
class BlobTest {
    private static final byte[] LARGE = new byte[3_000_000];

    @TempDir
    private Path folder;

    private LanceDataset dataset;
    private final List<Blob> opened = new ArrayList<>();

    @BeforeEach
    void write() {
        new Random(1).nextBytes(LARGE);
        String uri = folder.resolve("blobs.lance").toString();
        Schema schema = Schema.of(Field.int64("id"), Field.blob("video"));
        try (var writer = LanceWriter.to(uri, schema).open()) {
            writer.append(0, "zero".getBytes(StandardCharsets.UTF_8));
            writer.append(1, null);
            writer.append(2, new byte[0]);
            writer.append(3, LARGE);
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterEach
    void close() {
        opened.forEach(Blob::close);
        dataset.close();
    }

    private List<Blob> blobs(long... rows) {
        List<Blob> blobs = dataset.blobs("video", rows);
        blobs.stream().filter(blob -> blob != null).forEach(opened::add);
        return blobs;
    }

    @Test
    void blobsComeInTheOrderAskedForWithRepeats() {
        assertThat(dataset.schema().field("video").isBlob()).isTrue();
        assertThat(dataset.schema().field("id").isBlob()).isFalse();
        List<Blob> blobs = blobs(3, 0, 1, 2, 3);
        assertThat(blobs.get(2)).isNull();
        assertThat(blobs.stream().map(blob -> blob == null ? -1 : blob.size()))
                .containsExactly(3_000_000L, 4L, -1L, 0L, 3_000_000L);
        assertThat(Lance.liveHandles(Lance.Kind.BLOB)).isEqualTo(4);
        blobs.getFirst().close();
        blobs.getFirst().close();
        assertThat(Lance.liveHandles(Lance.Kind.BLOB)).isEqualTo(3);
        assertThatThrownBy(() -> blobs.getFirst().read(0, new byte[1]))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("row 3 of column video");
        assertThat(dataset.blobs("video")).isEmpty();
    }

    @Test
    void partsAreReadAtAnyOffset() {
        Blob blob = blobs(3).getFirst();
        byte[] part = new byte[1_500_000];
        assertThat(blob.read(1_000, part)).isEqualTo(part.length);
        assertThat(part).isEqualTo(Arrays.copyOfRange(LARGE, 1_000, 1_501_000));
        assertThat(blob.read(2_999_990, part)).isEqualTo(10);
        assertThat(Arrays.copyOf(part, 10)).isEqualTo(Arrays.copyOfRange(LARGE, 2_999_990, 3_000_000));
        assertThat(blob.read(3_000_000, part)).isZero();
        assertThat(blob.read(Long.MAX_VALUE, part)).isZero();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment target = arena.allocate(100);
            assertThat(blob.read(7, target)).isEqualTo(100);
            assertThat(target.toArray(JAVA_BYTE)).isEqualTo(Arrays.copyOfRange(LARGE, 7, 107));
            assertThat(blob.read(2_999_999, target)).isEqualTo(1);
            assertThatThrownBy(() -> blob.read(0, target.asReadOnly())).isInstanceOf(InvalidArgumentException.class);
        }
        assertThatThrownBy(() -> blob.read(-1, part)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> blob.read(0, MemorySegment.ofArray(part)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("native memory");
    }

    @Test
    void aStreamGivesAllBytesAndClosingItLeavesTheBlobOpen() throws IOException {
        List<Blob> blobs = blobs(3, 2, 0);
        InputStream stream = blobs.getFirst().newInputStream();
        assertThat(stream.read()).isEqualTo(LARGE[0] & 0xff);
        assertThat(stream.skip(1_999_999)).isEqualTo(1_999_999);
        assertThat(stream.skip(-5)).isZero();
        assertThat(stream.readNBytes(10)).isEqualTo(Arrays.copyOfRange(LARGE, 2_000_000, 2_000_010));
        assertThat(stream.available()).isPositive();
        assertThat(stream.readAllBytes()).isEqualTo(Arrays.copyOfRange(LARGE, 2_000_010, 3_000_000));
        assertThat(stream.read()).isEqualTo(-1);
        assertThat(stream.skip(1)).isZero();
        stream.close();
        assertThatThrownBy(stream::read).isInstanceOf(IOException.class).hasMessageContaining("closed");
        assertThat(blobs.getFirst().newInputStream().readAllBytes()).isEqualTo(LARGE);
        assertThat(blobs.get(1).newInputStream().readAllBytes()).isEmpty();
        assertThat(blobs.get(2).newInputStream().readAllBytes()).asString().isEqualTo("zero");
        InputStream late = blobs.get(2).newInputStream();
        blobs.get(2).close();
        assertThatThrownBy(late::read).isInstanceOf(IOException.class).hasMessageContaining("is closed");
    }

    @Test
    void manyThreadsReadOneBlob() {
        Blob blob = blobs(3).getFirst();
        IntStream.range(0, 200).parallel().forEach(i -> {
            byte[] part = new byte[997];
            assertThat(blob.read(i * 10_000L, part)).isEqualTo(997);
            assertThat(part).isEqualTo(Arrays.copyOfRange(LARGE, i * 10_000, i * 10_000 + 997));
        });
    }

    @Test
    void whatHoldsNoBlobsIsRefused() {
        assertThatThrownBy(() -> dataset.blobs("id", 0))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("'id'")
                .hasMessageContaining("holds no blobs");
        assertThatThrownBy(() -> dataset.blobs("nothing", 0)).isInstanceOf(NotFoundException.class);
        assertThatThrownBy(() -> dataset.blobs("video", 0, 4))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("rows[1]");
        assertThat(Lance.liveHandles(Lance.Kind.BLOB)).isZero();
    }

    @Test
    void aFileThatIsGoneIsAnIoError() throws IOException {
        Blob blob = blobs(3).getFirst();
        try (Stream<Path> files = Files.walk(folder.resolve("blobs.lance/data"))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.delete(file);
            }
        }
        assertThatThrownBy(() -> blob.newInputStream().readAllBytes())
                .isInstanceOf(IOException.class)
                .hasMessageContaining("row 3");
    }

    @Test
    void rowsBesideABlobAreScannedAndTheBlobIsAPlace() {
        try (Scan scan = dataset.scan().open();
                RecordBatch batch = scan.next()) {
            assertThat(batch.column("id").integer(3)).isEqualTo(3);
            Field place = batch.schema().field("video");
            assertThat(place.typeName()).startsWith("struct");
            int size = place.children().stream().map(Field::name).toList().indexOf("size");
            assertThat(batch.column("video").child(size).integer(3)).isEqualTo(LARGE.length);
        }
    }

    @Test
    void pythonsBlobsAreRead() throws IOException {
        try (var python =
                LanceDataset.open(TestData.resource("lance/python-blobs.lance").toString())) {
            List<Blob> blobs = python.blobs("blob", 4, 2, 1);
            assertThat(blobs.get(1)).isNull();
            try (Blob four = blobs.get(0);
                    Blob one = blobs.get(2)) {
                assertThat(four.newInputStream().readAllBytes()).hasSize(400).containsOnly(4);
                assertThat(one.newInputStream().readAllBytes()).hasSize(100).containsOnly(1);
            }
        }
    }
}
