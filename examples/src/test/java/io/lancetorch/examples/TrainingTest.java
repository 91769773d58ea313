package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The main job, end to end: a dataset, two ranks, a trained model. */
class TrainingTest {
    @TempDir
    private static Path folder;

    private static String dataset;

    @BeforeAll
    static void createDataset() throws Exception {
        dataset = CommandLineRun.createDataset(folder, 330, 100);
    }

    private static List<JsonNode> metrics(Path file) throws Exception {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            lines.add(new ObjectMapper().readTree(line));
        }
        return lines;
    }

    @Test
    void theDatasetHasTheRowsFragmentsAndClassNamesThatWereAskedFor() {
        try (LanceDataset opened = LanceDataset.open(dataset)) {
            assertThat(opened.countRows()).isEqualTo(330);
            assertThat(opened.fragments()).hasSize(4);
            assertThat(opened.schema().names()).containsExactly("image", "label");
            assertThat(opened.schema().metadata().get("classes")).startsWith("[\"disc\",");
        }
    }

    @Test
    void twoRanksTrainTogetherAndSayWhatTheyDid() throws Exception {
        Path file = folder.resolve("metrics.jsonl");
        Path model = folder.resolve("model.pt");
        Result result = CommandLineRun.run(
                "train",
                dataset,
                "--nproc-per-node",
                "2",
                "--epochs",
                "2",
                "--lr",
                "0.01",
                "--batch-size",
                "32",
                "--image-size",
                "32",
                "--val-fraction",
                "0.2",
                "--metrics",
                file.toString(),
                "--save",
                model.toString());
        assertThat(result.status()).as(result.output()).isZero();
        List<JsonNode> epochs = metrics(file);
        assertThat(epochs).hasSize(2);
        for (int i = 0; i < 2; i++) {
            JsonNode epoch = epochs.get(i);
            assertThat(epoch.get("epoch").asInt()).isEqualTo(i);
            assertThat(epoch.get("world_size").asInt()).isEqualTo(2);
            assertThat(epoch.get("images_seen").asInt()
                            + epoch.get("val_images").asInt())
                    .isEqualTo(330);
            assertThat(epoch.get("images_per_second").asDouble()).isPositive();
            assertThat(epoch.get("epoch_seconds").asDouble()).isPositive();
            assertThat(epoch.get("data_wait_fraction").asDouble()).isBetween(0.0, 1.0);
            assertThat(epoch.get("val_accuracy").asDouble()).isBetween(0.0, 1.0);
        }
        assertThat(epochs.get(1).get("loss").asDouble())
                .isLessThan(epochs.get(0).get("loss").asDouble());
        try (var _ = new TensorScope()) {
            Map<String, Tensor> tensors = StateDict.load(model);
            assertThat(tensors).hasSize(122);
            assertThat(tensors.get("layer4.1.bn2.num_batches_tracked").itemLong())
                    .isEqualTo(10);
            assertThat(tensors.get("fc.weight").shape()).containsExactly(10, 512);
        }
        Result again = CommandLineRun.run(
                "train", dataset, "--no-ddp", "--epochs", "0", "--weights", model.toString(), "--image-size", "32");
        assertThat(again.status()).as(again.output()).isZero();
    }

    @Test
    void theSameSeedGivesTheSameLoss() throws Exception {
        List<Double> losses = new ArrayList<>();
        for (int run = 0; run < 2; run++) {
            Path file = folder.resolve("seed" + run + ".jsonl");
            Result result = CommandLineRun.run(
                    "train",
                    dataset,
                    "--no-ddp",
                    "--epochs",
                    "1",
                    "--batch-size",
                    "64",
                    "--image-size",
                    "32",
                    "--seed",
                    "3",
                    "--metrics",
                    file.toString());
            assertThat(result.status()).as(result.output()).isZero();
            losses.add(metrics(file).getFirst().get("loss").asDouble());
        }
        assertThat(losses.get(0)).isEqualTo(losses.get(1));
    }

    @Test
    void runThatIsResumedEndsWithTheSameModel() throws Exception {
        Path all = folder.resolve("checkpoints");
        Path whole = folder.resolve("whole.pt");
        List<String> command =
                List.of("train", dataset, "--epochs", "2", "--batch-size", "32", "--image-size", "32", "--checkpoint");
        Result run = resumable(command, all, "--checkpoint-every", "2", "--keep", "100", "--save", whole.toString());
        assertThat(run.status()).as(run.output()).isZero();
        List<Path> files = CheckpointDirectory.of(all, 1).files();
        assertThat(files).as("12 steps, saved after each two").hasSize(6);
        for (int from : new int[] {1, 3, 4}) {
            // As the folder was when a run ended after so many steps: within an epoch, and at its end.
            Path some = Files.createDirectories(folder.resolve("checkpoints" + from));
            Path file = files.get(from);
            Files.copy(file, some.resolve(file.getFileName()));
            Path metrics = folder.resolve("resumed" + from + ".jsonl");
            Path end = folder.resolve("end" + from + ".pt");
            Result resumed =
                    resumable(command, some, "--resume", "--metrics", metrics.toString(), "--save", end.toString());
            assertThat(resumed.status()).as(resumed.output()).isZero();
            assertThat(resumed.output()).contains("going on from " + some.resolve(file.getFileName()));
            assertThat(metrics(metrics)).hasSize(from == 4 ? 2 : 1);
            try (var _ = new TensorScope()) {
                Map<String, Tensor> expected = StateDict.load(whole);
                Map<String, Tensor> model = StateDict.load(end);
                expected.forEach((name, tensor) -> assertThat(model.get(name).toFloats())
                        .as("%s, resumed from %s", name, file)
                        .isEqualTo(tensor.toFloats()));
            }
        }
        Result again = resumable(command, all);
        assertThat(again.status()).isEqualTo(1);
        assertThat(again.output()).contains("--resume").doesNotContain("\tat ");
        Result nowhere = CommandLineRun.run("train", dataset, "--resume");
        assertThat(nowhere.status()).isEqualTo(2);
        assertThat(nowhere.output()).contains("--checkpoint");
    }

    @Test
    void runThatIsResumedGoesOnWithTheVersionOfTheDatasetThatItBeganWith() throws Exception {
        String changing = folder.resolve("changing.lance").toString();
        Result created = CommandLineRun.run("create-dataset", changing, "--images", "20");
        assertThat(created.status()).as(created.output()).isZero();
        Path checkpoints = folder.resolve("versions");
        Path file = folder.resolve("versions.jsonl");
        List<String> command = List.of(
                "train",
                changing,
                "--no-ddp",
                "--batch-size=10",
                "--image-size=32",
                "--metrics=" + file,
                "--checkpoint");
        Result first = resumable(command, checkpoints, "--epochs=1");
        assertThat(first.status()).as(first.output()).isZero();
        Result rewritten = CommandLineRun.run("create-dataset", changing, "--images", "30", "--overwrite");
        assertThat(rewritten.status()).as(rewritten.output()).isZero();
        Result other = resumable(command, checkpoints, "--epochs=2", "--resume", "--sampler=random");
        assertThat(other.status()).isEqualTo(1);
        assertThat(other.output())
                .contains("--sampler is random", "of a run with sharded_batch")
                .doesNotContain("\tat ");
        Result second = resumable(command, checkpoints, "--epochs=2", "--resume");
        assertThat(second.status()).as(second.output()).isZero();
        assertThat(metrics(file))
                .extracting(epoch -> epoch.get("images_seen").asInt())
                .containsExactly(20, 20);
    }

    private static Result resumable(List<String> command, Path checkpoints, String... more) throws Exception {
        List<String> arguments = new ArrayList<>(command);
        arguments.add(checkpoints.toString());
        arguments.addAll(List.of(more));
        return CommandLineRun.run(arguments.toArray(String[]::new));
    }

    @Test
    void theClothingPhotosAreEachSeenOnceAnEpochByTwoRanks() throws Exception {
        Path photos = Path.of(System.getProperty("lancetorch.root")).resolveSibling("shared/data/clothing");
        Assumptions.assumeTrue(Files.isDirectory(photos), "no photos at " + photos);
        String clothing = folder.resolve("clothing.lance").toString();
        Result created = CommandLineRun.run("create-dataset", photos.toString(), clothing, "--fragment-size", "300");
        assertThat(created.status()).as(created.output()).isZero();
        for (String sampler : List.of("sharded_batch", "sharded-fragment")) {
            Path file = folder.resolve(sampler + ".jsonl");
            Result result = CommandLineRun.run(
                    "train",
                    clothing,
                    "--epochs",
                    "2",
                    "--lr",
                    "0.01",
                    "--batch-size",
                    "50",
                    "--image-size",
                    "32",
                    "--sampler",
                    sampler,
                    "--metrics",
                    file.toString());
            assertThat(result.status()).as(result.output()).isZero();
            List<JsonNode> epochs = metrics(file);
            assertThat(epochs)
                    .allSatisfy(epoch ->
                            assertThat(epoch.get("images_seen").asInt()).isEqualTo(1000));
            assertThat(epochs.get(1).get("loss").asDouble())
                    .isLessThan(epochs.get(0).get("loss").asDouble());
        }
    }

    @Test
    void wrongUseIsToldInALineAndNotByATrace() throws Exception {
        Result typo = CommandLineRun.run("train", "--epochz", "3");
        assertThat(typo.status()).isEqualTo(2);
        assertThat(typo.output()).contains("--epochz").contains("--epochs");
        Result missing =
                CommandLineRun.run("train", folder.resolve("none.lance").toString(), "--no-ddp");
        assertThat(missing.status()).isEqualTo(1);
        assertThat(missing.output()).contains("none.lance").doesNotContain("\tat ");
        Result sampler = CommandLineRun.run("train", dataset, "--sampler", "randomly");
        assertThat(sampler.status()).isEqualTo(2);
        assertThat(sampler.output()).contains("sharded_batch");
        Result twice = CommandLineRun.run("create-dataset", dataset);
        assertThat(twice.status()).isEqualTo(1);
        assertThat(twice.output()).contains("already");
        Result rank = CommandLineRun.run(
                Map.of("RANK", "2", "WORLD_SIZE", "2", "MASTER_ADDR", "127.0.0.1", "MASTER_PORT", "29999"),
                "train",
                dataset);
        assertThat(rank.status()).isEqualTo(1);
        assertThat(rank.output()).contains("RANK is 2");
        Result address = CommandLineRun.run(Map.of("RANK", "0", "WORLD_SIZE", "1"), "train", dataset);
        assertThat(address.status()).isEqualTo(1);
        assertThat(address.output()).contains("MASTER_ADDR");
    }
}
