package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Submits the site's script to a real Slurm of two nodes. */
class SlurmRecipeTest {
    @TempDir
    private Path folder;

    @Test
    void jobOnTwoNodesSurvivesARankThatIsKilled() throws Exception {
        try (var cluster = new SlurmCluster(Files.createDirectory(folder.resolve("slurm")))) {
            String dataset = CommandLineRun.createDataset(folder, ClusterRecipe.ROWS, 25);
            Path rows = folder.resolve("rows");
            Path log = folder.resolve("job.log");
            List<String> command = new ArrayList<>(List.of(
                    "sbatch",
                    "--wait",
                    "--chdir=" + ClusterRecipe.root(),
                    "--output=" + log,
                    ClusterRecipe.file("slurm/train.sbatch").toString(),
                    dataset,
                    folder.resolve("checkpoints").toString()));
            command.addAll(ClusterRecipe.smallRun(rows));
            Map<String, String> environment = new HashMap<>(cluster.environment());
            environment.put("RANKS_PER_NODE", "1");
            // Both nodes are this machine, whose name no resolver knows.
            environment.put("MASTER_ADDR", "127.0.0.1");
            try (var run = new RunningTraining(environment, command, rows)) {
                assertThat(run.awaitStep(1)).as(() -> read(log)).isTrue();
                killRank(1, rows);
                assertThat(run.await().status()).as(() -> read(log)).isZero();
            }
            assertThat(log).content().contains("starting all ranks anew, restart 1 of 3");
            ClusterRecipe.assertEachRowOnceAnEpoch(RowLogs.read(rows), 2);
        }
    }

    @Test
    void tasksOfSrunAreRanksWithoutALauncher() throws Exception {
        try (var cluster = new SlurmCluster(Files.createDirectory(folder.resolve("slurm")))) {
            String dataset = CommandLineRun.createDataset(folder, ClusterRecipe.ROWS, 25);
            Path rows = folder.resolve("rows");
            List<String> command = new ArrayList<>(List.of("srun", "--nodes=2", "--ntasks=2"));
            command.addAll(CommandLineRun.command("train", dataset));
            command.addAll(ClusterRecipe.smallRun(rows));
            Map<String, String> environment = new HashMap<>(cluster.environment());
            environment.put("MASTER_ADDR", "127.0.0.1");
            environment.put("GLOO_SOCKET_HOST", "127.0.0.1");
            var result = CommandLineRun.run(environment, command);
            assertThat(result.status()).as(result.output()).isZero();
            ClusterRecipe.assertEachRowOnceAnEpoch(RowLogs.read(rows), 2);
        }
    }

    private static String read(Path log) {
        try {
            return Files.readString(log);
        } catch (java.io.IOException e) {
            return e.toString();
        }
    }

    /** The ranks are no descendants of sbatch's. */
    private static void killRank(int rank, Path rows) throws Exception {
        String option = "--log-rows=" + rows;
        for (ProcessHandle process : ProcessHandle.allProcesses().toList()) {
            Path proc = Path.of("/proc", Long.toString(process.pid()));
            try {
                if (Files.readString(proc.resolve("cmdline"), java.nio.charset.StandardCharsets.ISO_8859_1)
                                .contains(option)
                        && RunningTraining.isRank(process, rank)) {
                    process.destroyForcibly();
                }
            } catch (java.io.IOException e) {
                // It has ended.
            }
        }
    }
}
