package io.lancetorch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.spark.SparkCluster.Driver;
import io.lancetorch.spark.SparkCluster.Result;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The trainer of the examples on a Spark cluster of two workers, beside the same under our own launcher. */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class SparkTrainingTest {
    private static final String MAIN = "io.lancetorch.examples.Main";
    private static final int ROWS = 61;
    private static final int EPOCHS = 3;
    private static final int EVERY = 3;

    @TempDir
    private static Path folder;

    private static String dataset;

    /** The steps of the run that nobody stopped, by our launcher: each rank's lines. */
    private static List<List<String>> expected;

    @BeforeAll
    static void trainByOurLauncher() throws Exception {
        dataset = folder.resolve("shapes.lance").toString();
        RankPrograms.run(MAIN, "create-dataset", dataset, "--images=" + ROWS, "--fragment-size=25");
        Path rows = folder.resolve("launcher");
        RankPrograms.run(MAIN, train(rows));
        expected = lines(rows);
        assertThat(expected).hasSize(2).allSatisfy(rank -> assertThat(rank).hasSize(8 * EPOCHS));
    }

    private static String[] train(Path rows, String... more) {
        List<String> arguments = new ArrayList<>(List.of(
                "train",
                dataset,
                "--epochs=" + EPOCHS,
                "--batch-size=4",
                "--image-size=32",
                "--lr=0.01",
                "--seed=5",
                "--uneven=join",
                "--timeout=60",
                "--log-rows=" + rows));
        arguments.addAll(List.of(more));
        return arguments.toArray(String[]::new);
    }

    private static String[] onSpark(Path rows, String... more) {
        List<String> arguments = new ArrayList<>(List.of("2", MAIN));
        arguments.addAll(List.of(train(rows, more)));
        return arguments.toArray(String[]::new);
    }

    /** Of each rank. */
    private static List<List<String>> lines(Path rows) throws Exception {
        List<List<String>> all = new ArrayList<>();
        for (int rank = 0; rank < 2; rank++) {
            Path file = rows.resolve("rank-" + rank + ".jsonl");
            String text = Files.exists(file) ? Files.readString(file) : "";
            // A rank may be writing its next line now.
            all.add(text.substring(0, text.lastIndexOf('\n') + 1).lines().toList());
        }
        return all;
    }

    private static SparkCluster cluster(String name, Path javaHome) throws Exception {
        var cluster = new SparkCluster(Files.createDirectories(folder.resolve(name)), javaHome);
        cluster.startWorker("127.0.0.1");
        cluster.startWorker("127.0.0.2");
        return cluster;
    }

    private static void assertSameLosses(Path javaHome, String name) throws Exception {
        Path rows = folder.resolve(name + "-rows");
        try (SparkCluster cluster = cluster(name, javaHome);
                Driver driver = cluster.submit(Map.of(), onSpark(rows))) {
            Result result = driver.await();
            assertThat(result.status()).as(result.output()).isZero();
            assertThat(result.output()).contains("rank 0: epoch 1/" + EPOCHS);
        }
        assertThat(lines(rows)).isEqualTo(expected);
    }

    @Test
    void lossesAreThoseOfOurLauncherStepByStep() throws Exception {
        assertSameLosses(Path.of(System.getProperty("java.home")), "cluster");
    }

    @Test
    void clusterOnJava17TrainsToo() throws Exception {
        assertSameLosses(java17(), "cluster-17");
    }

    private static Path java17() throws Exception {
        Path all = Path.of("/usr/lib/jvm");
        List<Path> found = List.of();
        if (Files.isDirectory(all)) {
            try (Stream<Path> homes = Files.list(all)) {
                found = homes.filter(home -> home.getFileName().toString().contains("17")
                                && Files.isExecutable(home.resolve("bin/java")))
                        .toList();
            }
        }
        assumeTrue(!found.isEmpty(), "skipped: there is no Java 17 in " + all);
        return found.getFirst();
    }

    private static void awaitStep(Driver driver, Path rows, int step) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(4);
        while (lines(rows).stream()
                .flatMap(List::stream)
                .noneMatch(line -> json(line).get("step").asInt() >= step)) {
            assertThat(driver.isAlive()).as(driver.output()).isTrue();
            assertThat(System.nanoTime()).as(driver.output()).isLessThan(deadline);
            Thread.sleep(20);
        }
    }

    private static JsonNode json(String line) {
        try {
            return new ObjectMapper().readTree(line);
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void executorAndThenAWorkerAreKilledAndTheRunGoesOnFromItsCheckpoints() throws Exception {
        Path rows = folder.resolve("killed-rows");
        Path checkpoints = folder.resolve("checkpoints");
        Result result;
        try (SparkCluster cluster = cluster("killed", Path.of(System.getProperty("java.home")));
                Driver driver = cluster.submit(
                        Map.of(),
                        onSpark(rows, "--checkpoint=" + checkpoints, "--checkpoint-every=" + EVERY, "--elastic"))) {
            awaitStep(driver, rows, EVERY + 1);
            cluster.killExecutors("127.0.0.2");
            awaitStep(driver, rows, 3 * EVERY + 1);
            cluster.killWorker("127.0.0.1");
            result = driver.await();
            assertThat(cluster.ranks()).isEmpty();
        }
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output()).contains("rank 0: going on from " + checkpoints);
        assertThat(result.output().split("rank 0: going on from ", -1))
                .as(result.output())
                .hasSize(3);
        int lines = 0;
        Map<Integer, Set<Long>> seen = new TreeMap<>();
        for (int rank = 0; rank < 2; rank++) {
            Map<Integer, String> last = new TreeMap<>();
            for (String line : lines(rows).get(rank)) {
                lines++;
                last.put(json(line).get("step").asInt(), line);
            }
            assertThat(List.copyOf(last.values())).as("rank %d", rank).isEqualTo(expected.get(rank));
            last.values().forEach(line -> json(line).get("rows").forEach(row -> assertThat(
                            seen.computeIfAbsent(json(line).get("epoch").asInt(), epoch -> new HashSet<>())
                                    .add(row.asLong()))
                    .as("once an epoch: %s", line)
                    .isTrue()));
        }
        assertThat(seen).hasSize(EPOCHS).allSatisfy((epoch, all) -> assertThat(all)
                .hasSize(ROWS));
        assertThat(lines - 2 * 8 * EPOCHS).as("steps done again").isBetween(1, 2 * 2 * (EVERY + 1));
    }
}
