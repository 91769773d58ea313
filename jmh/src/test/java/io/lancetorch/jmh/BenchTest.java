package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BenchTest {
    private final ByteArrayOutputStream messages = new ByteArrayOutputStream();

    private int run(String... arguments) {
        return Bench.run(new PrintStream(messages, true, StandardCharsets.UTF_8), arguments);
    }

    private String messages() {
        return messages.toString(StandardCharsets.UTF_8);
    }

    @Test
    void anUnknownCaseIsRefusedWithTheNamesOfThoseThatThereAre() {
        assertThat(run("decode", "sort")).isEqualTo(2);
        assertThat(messages())
                .contains("no benchmark sort: there are op, scan, take, decode, batch, loader, cached, start,");
    }

    @Test
    void aTypingErrorInAnOptionIsRefusedWithTheOnesThatAreLikeIt() {
        assertThat(run("loader", "--thread", "2")).isEqualTo(2);
        assertThat(messages()).contains("--thread").contains("--threads");
    }

    @ParameterizedTest
    @CsvSource({
        "loader --threads 0, --threads 0",
        "loader --threads two, --threads",
        "loader --image-size -3, --image-size -3",
        "loader --batch-size 0, --batch-size 0",
        "op --threads 2, --threads is only for loader",
        "scan --dataset x.lance, --dataset is only for loader",
        "soak --batches 3, --batches 3",
        "soak --batch 3, --batch",
        "op --chart no-such-folder/chart.svg, no folder for --chart",
        "op --json no-such-folder/figures.json, no folder for --json"
    })
    void whatCannotBeIsRefusedWithItsName(String arguments, String message) {
        assertThat(run(arguments.split(" "))).isEqualTo(2);
        assertThat(messages()).contains(message);
    }

    @Test
    void aFolderOfPhotosThatIsNotThereIsRefused(@TempDir Path folder) {
        String missing = folder.resolve("photos").toString();
        assertThat(run("decode", "--photos", missing)).isEqualTo(2);
        assertThat(messages()).contains(missing);
    }

    @Test
    void aFolderWithTooFewPhotosIsAnErrorThatNamesIt(@TempDir Path folder) throws Exception {
        Path photos = Files.createDirectory(folder.resolve("photos"));
        assertThat(run("decode", "--dir", folder.resolve("bench").toString(), "--photos", photos.toString()))
                .isEqualTo(1);
        assertThat(messages()).contains("0 photographs").contains(photos.toString());
    }

    @Test
    void aDatasetThatIsNotThereIsAnErrorThatNamesIt(@TempDir Path folder) {
        String missing = folder.resolve("missing.lance").toString();
        assertThat(run("loader", "--dir", folder.resolve("bench").toString(), "--dataset", missing))
                .isEqualTo(1);
        assertThat(messages()).contains("missing.lance");
    }
}
