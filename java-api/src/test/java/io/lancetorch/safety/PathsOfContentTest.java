package io.lancetorch.safety;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Blob;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.TorchFile;
import io.lancetorch.testing.TestData;
import io.lancetorch.testing.TorchFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that name other files reach none of them, but where the caller says so. */
class PathsOfContentTest {
    /** What the blobs of python-external-blobs.lance name: see make_fixtures.py. */
    private static final Path OUTSIDE = Path.of("/tmp/lancetorch-elsewhere");

    private static final Map<String, String> TRUSTED = Map.of("allow_external_paths", "true");

    @TempDir
    private Path folder;

    private static long rows(LanceDataset dataset) {
        long rows = 0;
        try (Scan scan = dataset.scan().open()) {
            for (RecordBatch batch; (batch = scan.next()) != null; ) {
                rows += batch.rows();
                batch.close();
            }
        }
        return rows;
    }

    /** Puts {@code path} in the place of the data file's name of the same length. */
    private Path renamed(Path dataset, String name, String path) throws IOException {
        assertThat(path).hasSameSizeAs(name);
        Path manifest;
        try (var files = Files.list(dataset.resolve("_versions"))) {
            manifest = files.filter(file -> file.toString().endsWith(".manifest"))
                    .findFirst()
                    .orElseThrow();
        }
        String bytes = Files.readString(manifest, ISO_8859_1);
        assertThat(bytes).contains(name);
        Files.writeString(manifest, bytes.replace(name, path), ISO_8859_1);
        return dataset;
    }

    @ParameterizedTest
    @ValueSource(strings = {"../../", "./../../", "x/../../../", "..//../", "%2e%2e/%2e%2e/", "/"})
    void dataFileOutsideOfItsDatasetIsNotRead(String way) throws IOException {
        Path dataset = TestData.copy(TestData.resource("lance/python-2.1.lance"), folder.resolve("data.lance"));
        Path file;
        try (var files = Files.list(dataset.resolve("data"))) {
            file = files.findFirst().orElseThrow();
        }
        String name = file.getFileName().toString();
        try (var whole = LanceDataset.open(dataset.toString())) {
            assertThat(rows(whole)).isPositive();
        }
        // The very file, where that way leads.
        boolean absolute = way.equals("/");
        String start = absolute ? folder.toString() + "/" : way;
        assumeFalse(start.length() + 1 > name.length(), "skipped: the temporary folder's name is too long");
        String other = "o".repeat(name.length() - start.length());
        Files.move(file, folder.resolve(other));
        renamed(dataset, name, start + other);
        Throwable thrown = catchThrowable(() -> {
            try (var opened = LanceDataset.open(dataset.toString())) {
                rows(opened);
            }
        });
        assertThat(thrown).isInstanceOf(LanceTorchException.class);
        assertThat(thrown).hasMessageContaining("ooo");
    }

    @Test
    void cloneOfAnotherDatasetIsReadWhereThatIsAllowedAlone() {
        String uri = TestData.resource("lance/python-clone.lance").toString();
        assertThatThrownBy(() -> LanceDataset.open(uri))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll(OUTSIDE.toString(), "allow_external_paths");
        assertThatThrownBy(() -> LanceDataset.open(uri, Map.of("allow_external_paths", "perhaps")))
                .hasMessageContaining("perhaps");
        assertThatThrownBy(() -> LanceWriter.to(uri, Schema.of(Field.int64("id")))
                        .mode(LanceWriter.Mode.APPEND)
                        .open()
                        .close())
                .isInstanceOf(UnsupportedException.class);
        try (var dataset = LanceDataset.open(uri, TRUSTED)) {
            assertThatThrownBy(() -> rows(dataset))
                    .as("the other dataset is not there any more")
                    .isInstanceOf(LanceTorchException.class)
                    .hasMessageContaining("lancetorch-elsewhere");
        }
    }

    @Test
    void blobThatIsAnotherFileIsReadWhereThatIsAllowedAlone() throws IOException {
        String uri = TestData.resource("lance/python-external-blobs.lance").toString();
        assumeFalse(Files.exists(OUTSIDE), "skipped: " + OUTSIDE + " is there, and not this test's");
        Files.createDirectory(OUTSIDE);
        try {
            Files.writeString(OUTSIDE.resolve("secret.txt"), "a secret");
            try (var dataset = LanceDataset.open(uri)) {
                assertThatThrownBy(() -> dataset.blobs("video", 0, 1))
                        .isInstanceOf(UnsupportedException.class)
                        .hasMessageContainingAll("secret.txt", "video", "allow_external_paths");
                assertThat(Lance.liveHandles(Lance.Kind.BLOB)).isZero();
                try (Blob inside = dataset.blobs("video", 0).getFirst()) {
                    assertThat(inside.newInputStream().readAllBytes()).isEqualTo("inside".getBytes(UTF_8));
                }
                assertThat(rows(dataset))
                        .as("a scan gives where the blobs are, and not their bytes")
                        .isEqualTo(2);
            }
            try (var dataset = LanceDataset.open(uri, TRUSTED);
                    Blob other = dataset.blobs("video", 1).getFirst()) {
                assertThat(other.newInputStream().readAllBytes()).isEqualTo("a secret".getBytes(UTF_8));
            }
        } finally {
            Files.deleteIfExists(OUTSIDE.resolve("secret.txt"));
            Files.delete(OUTSIDE);
        }
    }

    @Test
    void recordsOfATorchFileAreLookedForWithinIt() throws IOException {
        Files.writeString(folder.resolve("secret"), "a secret");
        Path file = folder.resolve("value.pt");
        try (var _ = new TensorScope()) {
            TorchFile.save(file, Tensor.of(new byte[8]));
        }
        // The storage's key, a string of pickle: its opcode X, four bytes of length, and "0".
        byte[] pickle = TorchFiles.pickle(file);
        String text = new String(pickle, ISO_8859_1);
        assertThat(text).contains("X\1\0\0\0" + "0");
        for (String path : new String[] {
            "../../secret", "/etc/hostname", folder.resolve("secret").toString()
        }) {
            String other = text.replace("X\1\0\0\0" + "0", "X" + (char) path.length() + "\0\0\0" + path);
            Path changed = folder.resolve("changed.pt");
            Files.write(changed, TorchFiles.withPickle(file, other.getBytes(ISO_8859_1)));
            assertThatThrownBy(() -> TorchFile.load(changed))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContaining("no record data/" + path);
        }
    }
}
