package io.lancetorch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.spark.SparkCluster.Driver;
import io.lancetorch.spark.SparkCluster.Result;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Ranks on a cluster of two workers, each a host and a process of its own. */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class LanceTorchDistributorTest {
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
    static void endCluster() throws Exception {
        cluster.close();
    }

    private static void assertNoRanks() throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!cluster.ranks().isEmpty()) {
            assertThat(System.nanoTime()).as("%s", cluster.ranks()).isLessThan(deadline);
            Thread.sleep(50);
        }
    }

    @Test
    void functionRunsOnAllRanksWithTorchrunsVariablesAndReturnsToTheDriver() throws Exception {
        Result result;
        try (Driver driver = cluster.drive(
                TestDriver.class,
                Map.of("spark.cores.max", "3", "spark.lancetorch.env.GREETING", "hello"),
                "environment",
                "3")) {
            result = driver.await();
        }
        assertThat(result.status()).as(result.output()).isZero();
        List<Map<String, String>> ranks = result.output()
                .lines()
                .filter(line -> line.startsWith("returned {"))
                .map(LanceTorchDistributorTest::variables)
                .toList();
        assertThat(ranks).as(result.output()).hasSize(3);
        String master = ranks.getFirst().get("GLOO_SOCKET_HOST");
        Map<String, Integer> seen = new java.util.HashMap<>();
        Map<String, Integer> machines = new java.util.LinkedHashMap<>();
        for (int rank = 0; rank < 3; rank++) {
            Map<String, String> variables = ranks.get(rank);
            String host = variables.get("GLOO_SOCKET_HOST");
            assertThat(host).isIn("127.0.0.1", "127.0.0.2");
            int local = seen.merge(host, 1, Integer::sum) - 1;
            machines.putIfAbsent(host, machines.size());
            long together = ranks.stream()
                    .filter(other -> other.get("GLOO_SOCKET_HOST").equals(host))
                    .count();
            assertThat(variables)
                    .containsEntry("RANK", "" + rank)
                    .containsEntry("WORLD_SIZE", "3")
                    .containsEntry("LOCAL_RANK", "" + local)
                    .containsEntry("LOCAL_WORLD_SIZE", "" + together)
                    .containsEntry("GROUP_RANK", "" + machines.get(host))
                    .containsEntry("MASTER_ADDR", master)
                    .containsEntry("TORCHELASTIC_RESTART_COUNT", "0")
                    .containsEntry("TORCHELASTIC_MAX_RESTARTS", "3")
                    .containsEntry("GREETING", "hello");
            assertThat(result.output()).contains("rank " + rank + ": a line of " + rank + ", captured 3");
        }
        assertThat(machines.keySet()).as("both workers").hasSize(2);
        assertNoRanks();
    }

    private static Map<String, String> variables(String line) {
        return java.util.Arrays.stream(
                        line.substring(line.indexOf('{') + 1, line.indexOf('}')).split(", "))
                .map(pair -> pair.split("=", 2))
                .collect(java.util.stream.Collectors.toMap(pair -> pair[0], pair -> pair[1]));
    }

    @Test
    void rankThatFailsEndsTheOthersAndTheStageIsTriedAnewUntilItsReasonIsTold() throws Exception {
        Result result;
        try (Driver driver =
                cluster.drive(TestDriver.class, Map.of("spark.stage.maxConsecutiveAttempts", "2"), "fail", "2")) {
            result = driver.await();
        }
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output())
                .contains("rank 1: attempt 0", "rank 1: attempt 1")
                .doesNotContain("attempt 2")
                .containsPattern("failed: rank 1 of 2 on 127.0.0.[12] failed with status 1:"
                        + " java.lang.IllegalStateException: this rank cannot")
                .contains("Its last lines:\nattempt 1\njava.lang.IllegalStateException: this rank cannot\n\tat ");
        assertNoRanks();
    }

    @Test
    void cancelledJobEndsItsRanks() throws Exception {
        try (Driver driver = cluster.drive(TestDriver.class, Map.of(), "cancel", "2")) {
            driver.awaitOutput("rank 0: sleeping");
            driver.awaitOutput("rank 1: sleeping");
            assertThat(cluster.ranks()).hasSize(2);
            driver.poke();
            driver.awaitOutput("ended: ");
            assertNoRanks();
            assertThat(driver.await().output()).contains("cancelled");
        }
    }

    @Test
    void ranksOfADriverThatIsKilledEndToo() throws Exception {
        try (Driver driver = cluster.drive(TestDriver.class, Map.of(), "cancel", "2")) {
            driver.awaitOutput("rank 0: sleeping");
            driver.awaitOutput("rank 1: sleeping");
            assertThat(cluster.ranks()).hasSize(2);
        }
        assertNoRanks();
    }

    @Test
    void moreRanksThanSlotsAreRefusedWithBothNumbers() throws Exception {
        Result result;
        try (Driver driver = cluster.submit(Map.of("spark.lancetorch.slotsTimeout", "20"), "5", "no.Matter")) {
            result = driver.await();
        }
        assertThat(result.status()).isNotZero();
        assertThat(result.output()).contains("5 ranks run at the same time and need 5 slots", "the executors have 2");
    }

    @Test
    void whatIsMissingOnAWorkerIsNamed() throws Exception {
        Map<String, String> once = Map.of("spark.stage.maxConsecutiveAttempts", "1");
        try (Driver driver = cluster.submit(once, "2", "no.such.Trainer")) {
            Result result = driver.await();
            assertThat(result.status()).isNotZero();
            assertThat(result.output()).contains("java.lang.ClassNotFoundException: no.such.Trainer");
        }
        var nowhere = new java.util.HashMap<>(once);
        nowhere.put("spark.lancetorch.javaHome", folder.resolve("none").toString());
        try (Driver driver = cluster.submit(nowhere, "2", "no.Matter")) {
            assertThat(driver.await().output()).contains("spark.lancetorch.javaHome is " + folder.resolve("none"));
        }
    }
}
