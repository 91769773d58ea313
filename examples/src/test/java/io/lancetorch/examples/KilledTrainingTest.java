package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.examples.RowLogs.Line;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Ranks that train are killed at random moments, and the run goes on from its checkpoints: no row is lost, and those since the
 * last checkpoint alone are trained on once more. {@code -Dlancetorch.long=true} for 20 kills a test.
 */
@Timeout(value = 20, unit = TimeUnit.MINUTES)
class KilledTrainingTest {
    private static final int KILLS = Boolean.getBoolean("lancetorch.long") ? 20 : 2;
    private static final int EPOCHS = KILLS; // a kill costs less than one
    private static final int ROWS = 61;
    private static final int BATCH = 4;
    private static final int EVERY = 3;

    @TempDir
    private static Path folder;

    private static String dataset;

    @BeforeAll
    static void createDataset() throws Exception {
        dataset = CommandLineRun.createDataset(folder, ROWS, 25);
    }

    private static List<String> train(Path rows, String... more) {
        List<String> command = CommandLineRun.command(
                "train",
                dataset,
                "--epochs=" + EPOCHS,
                "--batch-size=" + BATCH,
                "--image-size=32",
                "--lr=0.01",
                "--uneven=join",
                "--timeout=60",
                "--log-rows=" + rows);
        command.addAll(List.of(more));
        return command;
    }

    private static String[] checkpoints(String name) {
        return new String[] {
            "--checkpoint=" + folder.resolve(name), "--checkpoint-every=" + EVERY, "--keep=2",
        };
    }

    private static SortedMap<Long, SortedMap<Integer, Line>> withoutAStop(String name, String... more)
            throws Exception {
        Path rows = folder.resolve(name);
        Result result = CommandLineRun.run(Map.of(), train(rows, more));
        assertThat(result.status()).as(result.output()).isZero();
        return RowLogs.last(RowLogs.read(rows));
    }

    private static List<String> with(List<String> command, String[] options, String... more) {
        List<String> all = new ArrayList<>(command);
        all.addAll(List.of(options));
        all.addAll(List.of(more));
        return all;
    }

    private static void assertEachRowOnceAnEpoch(Map<Integer, List<Long>> order) {
        assertThat(order).hasSize(EPOCHS);
        order.forEach((epoch, rows) -> {
            assertThat(rows).as("epoch %d", epoch).hasSize(ROWS);
            assertThat(new HashSet<>(rows)).as("epoch %d", epoch).hasSize(ROWS);
        });
    }

    /** Kills a random rank of {@code ranks} at a random moment; returns false where the run ends before. */
    private static boolean killSometime(RunningTraining run, Random random, long step, int ranks) throws Exception {
        if (!run.awaitStep(step)) {
            return false;
        }
        Thread.sleep(random.nextInt(300));
        run.kill(random.nextInt(ranks));
        return true;
    }

    @Test
    void sameRanksHaveTheRowsAndLossesOfTheRunThatNobodyKilled() throws Exception {
        var expected = withoutAStop("whole");
        assertEachRowOnceAnEpoch(RowLogs.order(expected, false));
        Path rows = folder.resolve("killed");
        var random = new Random(1);
        int kills = 0;
        Result result;
        do {
            var before = RowLogs.last(RowLogs.read(rows));
            long start = before.isEmpty() ? 0 : before.lastKey();
            try (var run =
                    new RunningTraining(Map.of(), with(train(rows), checkpoints("checkpoints"), "--resume"), rows)) {
                if (kills < KILLS && killSometime(run, random, start + 1 + random.nextInt(2), 2)) {
                    kills++;
                }
                result = run.await();
            }
        } while (result.status() == 128 + 9);
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(kills).isEqualTo(KILLS);
        List<Line> lines = RowLogs.read(rows);
        assertThat(RowLogs.last(lines)).isEqualTo(expected);
        // Each rank writes a step before the ranks meet in it: so the step that nobody could end may be there too.
        assertThat(lines.size() - 2 * expected.size()).isLessThanOrEqualTo(2 * kills * (EVERY + 1));
    }

    @Test
    void otherRanksGoOnWithTheSameOrderOfRows() throws Exception {
        String sampler = "--sampler=random";
        Map<Integer, List<Long>> expected = RowLogs.order(withoutAStop("alone", sampler, "--nproc-per-node=1"), true);
        assertEachRowOnceAnEpoch(expected);
        var random = new Random(2);
        SortedMap<Long, SortedMap<Integer, Line>> done = new TreeMap<>();
        int[] worlds = {2, 3, 1};
        int kills = 0;
        Result result;
        do {
            Path rows = folder.resolve("world-" + kills);
            int ranks = worlds[kills % worlds.length];
            long start = done.isEmpty() ? 0 : done.lastKey();
            try (var run = new RunningTraining(
                    Map.of(),
                    with(train(rows, sampler, "--nproc-per-node=" + ranks), checkpoints("worlds"), "--resume"),
                    rows)) {
                if (kills < KILLS && killSometime(run, random, start + 1 + random.nextInt(2), ranks)) {
                    kills++;
                }
                result = run.await();
            }
            var steps = RowLogs.last(RowLogs.read(rows));
            assertThat(steps.values()).allSatisfy(step -> assertThat(step.values())
                    .allSatisfy(line -> assertThat(line.worldSize()).isEqualTo(ranks)));
            // What comes after the checkpoint from which this one went on is done anew.
            done.tailMap(steps.firstKey()).clear();
            done.putAll(steps);
        } while (result.status() == 128 + 9);
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(kills).isEqualTo(KILLS);
        assertThat(RowLogs.order(done, true)).isEqualTo(expected);
    }

    // ---- --elastic ----

    /** Kills a rank before the first checkpoint, and one after it; the launcher starts all anew, and they go on. */
    private static void killRanksOfAnElasticRun(String name, List<String> launcher, String... more) throws Exception {
        Path rows = folder.resolve(name);
        String checkpoints = name + "-checkpoints";
        List<String> command = new ArrayList<>(launcher);
        command.addAll(with(train(rows, more), checkpoints(checkpoints), "--elastic"));
        Result result;
        try (var run = new RunningTraining(Map.of("GLOO_SOCKET_HOST", "127.0.0.1"), command, rows)) {
            assertThat(run.awaitStep(0)).isTrue();
            run.kill(1);
            assertThat(run.awaitStep(EVERY + 1)).isTrue();
            run.kill(0);
            result = run.await();
        }
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output())
                .contains("no checkpoint in " + folder.resolve(checkpoints) + ": starting anew")
                .contains("going on from " + folder.resolve(checkpoints));
        assertNothingIsLost(RowLogs.read(rows), 2);
    }

    private static void assertNothingIsLost(List<Line> lines, int kills) {
        var steps = RowLogs.last(lines);
        assertThat(steps.keySet()).hasSize((int) (steps.lastKey() + 1));
        assertThat(steps.values())
                .allSatisfy(ranks -> assertThat(ranks.keySet()).containsExactly(0, 1));
        assertEachRowOnceAnEpoch(RowLogs.order(steps, false));
        assertThat(lines.size() - 2 * steps.size()).as("steps done again").isBetween(1, 2 * kills * (EVERY + 1));
    }

    @Test
    void elasticRunUnderOurLauncherLosesNoRow() throws Exception {
        killRanksOfAnElasticRun("elastic", List.of(), "--nproc-per-node=2", "--max-restarts=3");
    }

    @Test
    void elasticRunUnderTorchrunLosesNoRow() throws Exception {
        List<String> torchrun = new ArrayList<>(TorchPython.torchrun(2));
        torchrun.add("--max-restarts=3");
        killRanksOfAnElasticRun("torchrun", torchrun);
    }

    /** One of two nodes finds out that the other has started anew before its own rank has failed: it counts no restart then. */
    @Test
    void nodesOfTorchrunThatCountTheirRestartsDifferentlyMeetAgain() throws Exception {
        Path rows = folder.resolve("nodes");
        List<String> command = new ArrayList<>(TorchPython.torchrun(
                "--nnodes=2",
                "--nproc-per-node=1",
                "--max-restarts=3",
                "--rdzv-backend=c10d",
                "--rdzv-endpoint=127.0.0.1:" + RunningTraining.freePort(),
                "--rdzv-id=nodes",
                "--local-addr=127.0.0.1"));
        command.addAll(with(train(rows), checkpoints("nodes-checkpoints"), "--elastic"));
        Map<String, String> environment = Map.of("GLOO_SOCKET_HOST", "127.0.0.1");
        try (var one = new RunningTraining(environment, command, rows);
                var other = new RunningTraining(environment, command, rows)) {
            assertThat(one.awaitStep(EVERY + 1)).isTrue();
            RunningTraining first = one.has(0) ? one : other;
            RunningTraining second = one.has(0) ? other : one;
            first.signal(0, "STOP");
            second.kill(1);
            Thread.sleep(2_000);
            first.signal(0, "CONT");
            for (RunningTraining node : List.of(one, other)) {
                Result result = node.await();
                assertThat(result.status()).as(result.output()).isZero();
            }
        }
        assertNothingIsLost(RowLogs.read(rows), 1);
    }

    @Test
    void restartsWithoutCheckpointsAreRefused() throws Exception {
        Result nowhere = CommandLineRun.run("train", dataset, "--elastic");
        assertThat(nowhere.status()).isEqualTo(2);
        assertThat(nowhere.output()).contains("--elastic", "--checkpoint");
        Result forgetful = CommandLineRun.run("train", dataset, "--max-restarts=2");
        assertThat(forgetful.status()).isEqualTo(2);
        assertThat(forgetful.output()).contains("--max-restarts needs --elastic");
    }
}
