package io.lancetorch.examples;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code create-dataset} by several processes at once. */
class DatasetByProcessesTest {
    private static final int IMAGES = 150;

    @TempDir
    private Path folder;

    private String dataset(String name) {
        return folder.resolve(name + ".lance").toString();
    }

    private static Result create(String dataset, int images, String... more) throws Exception {
        List<String> arguments =
                new ArrayList<>(List.of("create-dataset", dataset, "--images=" + images, "--fragment-size=20"));
        arguments.addAll(List.of(more));
        return CommandLineRun.run(arguments.toArray(String[]::new));
    }

    /** Each row's label and the hash of its image. */
    private static List<Long> rows(String uri) {
        List<Long> rows = new ArrayList<>();
        try (var dataset = LanceDataset.open(uri);
                Scan scan = dataset.scan().open()) {
            for (RecordBatch next; (next = scan.next()) != null; ) {
                try (RecordBatch batch = next) {
                    for (long row = 0; row < batch.rows(); row++) {
                        byte[] image = batch.column("image").bytes(row).toArray(JAVA_BYTE);
                        rows.add(batch.column("label").integer(row) << 32 | Arrays.hashCode(image) & 0xffffffffL);
                    }
                }
            }
        }
        return rows;
    }

    @Test
    void fourProcessesWriteTheRowsOfOneInTheSameOrder() throws Exception {
        Result one = create(dataset("one"), IMAGES);
        assertThat(one.status()).as(one.output()).isZero();
        Result four = create(dataset("four"), IMAGES, "--processes=4");
        assertThat(four.status()).as(four.output()).isZero();
        assertThat(four.output()).contains("4 processes wrote 150 images of 10 classes", "version 1");
        assertThat(rows(dataset("four"))).hasSize(IMAGES).isEqualTo(rows(dataset("one")));
        try (var whole = LanceDataset.open(dataset("one"));
                var apart = LanceDataset.open(dataset("four"))) {
            assertThat(apart.schema().metadata()).isEqualTo(whole.schema().metadata());
            assertThat(apart.fragments()).hasSize(8);
        }
        Result again = create(dataset("four"), IMAGES, "--processes=2");
        assertThat(again.status()).isNotZero();
        assertThat(again.output()).contains(dataset("four"), "already");
        Result more = create(dataset("four"), 3, "--processes=4", "--overwrite");
        assertThat(more.status()).as(more.output()).isZero();
        assertThat(rows(dataset("four"))).isEqualTo(rows(dataset("one")).subList(0, 3));
    }

    @Test
    void processThatIsKilledBeforeTheCommitLeavesTheOldVersion() throws Exception {
        String dataset = dataset("killed");
        assertThat(create(dataset, IMAGES).status()).isZero();
        List<Long> before = rows(dataset);
        List<String> command = CommandLineRun.command(
                "create-dataset", dataset, "--images=100000", "--fragment-size=20", "--processes=4", "--overwrite");
        try (var run = new RunningTraining(Map.of(), command, folder)) {
            long files = dataFiles(dataset);
            while (dataFiles(dataset) == files) {
                Thread.sleep(20); // until the first of them writes
            }
            run.kill(2);
            Result result = run.await();
            assertThat(result.status()).as(result.output()).isEqualTo(128 + 9);
            assertThat(result.output()).contains("rank 2 of 4 was ended by signal 9");
        }
        assertThat(rows(dataset)).isEqualTo(before);
        try (var opened = LanceDataset.open(dataset)) {
            assertThat(opened.version()).isEqualTo(1);
        }
        Result again = create(dataset, 20, "--processes=2", "--overwrite");
        assertThat(again.status()).as(again.output()).isZero();
        assertThat(rows(dataset)).isEqualTo(before.subList(0, 20));
    }

    private static long dataFiles(String dataset) throws Exception {
        try (Stream<Path> files = Files.list(Path.of(dataset, "data"))) {
            return files.count();
        }
    }
}
