package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.yaml.snakeyaml.Yaml;

/** Runs the containers of the site's manifests as processes of this machine, with the variables that the operators set. */
class KubernetesRecipeTest {
    private static final int PODS = 2;
    private static final int RANKS = 4;

    @TempDir
    private Path folder;

    @SuppressWarnings("unchecked")
    private static Map<String, Object> spec(String manifest) throws Exception {
        try (var reader = Files.newBufferedReader(ClusterRecipe.file("kubernetes/" + manifest))) {
            return (Map<String, Object>) ((Map<String, Object>) new Yaml().load(reader)).get("spec");
        }
    }

    @SuppressWarnings("unchecked")
    private static <T> T at(Object tree, Object... path) {
        for (Object key : path) {
            tree = tree instanceof List<?> list ? list.get((Integer) key) : ((Map<String, Object>) tree).get(key);
        }
        return (T) tree;
    }

    /** The variables of torchrun that both operators set. */
    private static Map<String, String> variables(Object ranksPerPod, int pod, int port) {
        return new HashMap<>(Map.of(
                "PET_NNODES", "" + PODS,
                "PET_NPROC_PER_NODE", ranksPerPod.toString(),
                "PET_NODE_RANK", "" + pod,
                "PET_MASTER_ADDR", "127.0.0.1",
                "PET_MASTER_PORT", "" + port));
    }

    @Test
    void trainJobTrains() throws Exception {
        Map<String, Object> trainer = at(spec("trainjob.yaml"), "trainer");
        assertThat(trainer.get("numNodes")).isEqualTo(PODS);
        int port = RunningTraining.freePort();
        List<Map<String, String>> pods = new ArrayList<>();
        for (int pod = 0; pod < PODS; pod++) {
            pods.add(variables(trainer.get("numProcPerNode"), pod, port));
        }
        run(pods, List.of(trainer, trainer));
    }

    @Test
    void pyTorchJobTrains() throws Exception {
        Map<String, Object> spec = spec("pytorchjob.yaml");
        int port = RunningTraining.freePort();
        List<Map<String, String>> pods = new ArrayList<>();
        List<Map<String, Object>> containers = new ArrayList<>();
        for (String replica : List.of("Master", "Worker")) {
            assertThat((Integer) at(spec, "pytorchReplicaSpecs", replica, "replicas"))
                    .isEqualTo(1);
            containers.add(at(spec, "pytorchReplicaSpecs", replica, "template", "spec", "containers", 0));
            Map<String, String> variables = variables(spec.get("nprocPerNode"), pods.size(), port);
            // Those of a pod, which are no rank's.
            variables.putAll(Map.of(
                    "RANK", "" + pods.size(),
                    "WORLD_SIZE", "" + RANKS,
                    "MASTER_ADDR", "127.0.0.1",
                    "MASTER_PORT", "" + port));
            pods.add(variables);
        }
        run(pods, containers);
    }

    private void run(List<Map<String, String>> pods, List<Map<String, Object>> containers) throws Exception {
        String dataset = CommandLineRun.createDataset(folder, ClusterRecipe.ROWS, 25);
        Path rows = folder.resolve("rows");
        List<RunningTraining> running = new ArrayList<>();
        try {
            for (int pod = 0; pod < pods.size(); pod++) {
                List<String> command = new ArrayList<>(at(containers.get(pod), "command"));
                command.addAll(at(containers.get(pod), "args"));
                command.replaceAll(argument -> switch (argument) {
                    case "./lancetorch" ->
                        ClusterRecipe.root().resolve("lancetorch").toString();
                    case "s3://bucket/photos.lance" -> dataset;
                    case "/checkpoints/run" -> folder.resolve("checkpoints").toString();
                    default -> argument;
                });
                assertThat(command).contains(dataset);
                command.addAll(ClusterRecipe.smallRun(rows));
                running.add(new RunningTraining(pods.get(pod), command, rows));
            }
            assertThat(running.getFirst().awaitStep(1)).isTrue();
            running.getLast().kill(RANKS - 1);
            for (RunningTraining pod : running) {
                Result result = pod.await();
                assertThat(result.status()).as(result.output()).isZero();
                assertThat(result.output()).contains("starting all ranks anew, restart 1 of 3");
            }
        } finally {
            running.forEach(RunningTraining::close);
        }
        ClusterRecipe.assertEachRowOnceAnEpoch(RowLogs.read(rows), RANKS);
    }
}
