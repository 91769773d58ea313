package io.lancetorch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.spark.SparkCluster.Driver;
import io.lancetorch.spark.SparkCluster.Result;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Datasets that tasks of two workers write. */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class LanceDatasetWriterTest {
    @TempDir
    private static Path folder;

    private static SparkCluster cluster;

    @BeforeAll
    static void startCluster() throws Exception {
        cluster = new SparkCluster(folder, Path.of(System.getProperty("java.home")));
        cluster.startWorker("127.0.0.1");
        cluster.startWorker("127.0.0.2");
    }

    @AfterAll
    static void endCluster() {
        cluster.close();
    }

    private static Result write(String how, Path dataset, Map<String, String> conf) throws Exception {
        try (Driver driver = cluster.drive(TestDriver.class, conf, how, "4", dataset.toString())) {
            return driver.await();
        }
    }

    private static String read(Path dataset) throws Exception {
        return RankPrograms.run(NumberParts.class.getName(), dataset.toString());
    }

    @Test
    void fourTasksWriteEachRowOnceAndOneThatFailsIsTriedAnew() throws Exception {
        Path dataset = folder.resolve("numbers.lance");
        Files.createFile(folder.resolve(NumberParts.FAILS_AT + "2000"));
        Result result = write("write", dataset, Map.of());
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output())
                .contains("part 2: all is written, and this process dies")
                .contains("part 2 of 4 on 127.0.0.", "failed with status 9")
                .contains("wrote version 1");
        assertThat(read(dataset)).contains("version 1: 4000 rows, 4000 numbers below 4000, 12 fragments");
        // The next one adds to it, by the name of the class.
        Result more = write("append", dataset, Map.of());
        assertThat(more.status()).as(more.output()).isZero();
        assertThat(read(dataset)).contains("version 2: 8000 rows, 8000 numbers below 8000, 24 fragments");
    }

    @Test
    void partThatFailsEachTimeLeavesNothingToRead() throws Exception {
        Path dataset = folder.resolve("none.lance");
        Files.createFile(folder.resolve(NumberParts.FAILS_AT + "1000"));
        Result result = write("write", dataset, Map.of("spark.task.maxFailures", "1"));
        assertThat(result.output())
                .contains("failed: part 1 of 4 on 127.0.0.", "failed with status 9")
                .doesNotContain("wrote version");
        assertThat(dataset.resolve("_versions")).doesNotExist();
    }
}
