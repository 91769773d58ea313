package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.data.BadRows;
import io.lancetorch.data.Uneven;
import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.examples.RowLogs.Line;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Which rows count in a training whose ranks cannot have the same number of them, or not all of whose images can be decoded. */
class UnevenTrainingTest {
    private static final int RANKS = 3;
    private static final int FRAGMENT = 30;
    private static final int ROWS = 2 * FRAGMENT + 9;
    private static final int BATCH = 8;

    @TempDir
    private static Path folder;

    private static String dataset;

    @BeforeAll
    static void createDataset() throws Exception {
        dataset = CommandLineRun.createDataset(folder, ROWS, FRAGMENT);
    }

    /** A fragment for each rank; one of them has 9 rows where its peers have 30. */
    @ParameterizedTest
    @EnumSource(names = "REFUSE", mode = EnumSource.Mode.EXCLUDE)
    void rowsCountOnceWhateverIsDoneWhereARankRunsOut(Uneven uneven) throws Exception {
        Path rows = folder.resolve("rows-" + uneven);
        Path file = folder.resolve(uneven + ".jsonl");
        Result result = CommandLineRun.run(
                "train",
                dataset,
                "--nproc-per-node=" + RANKS,
                "--epochs=2",
                "--batch-size=" + BATCH,
                "--image-size=32",
                "--lr=0.01",
                "--sampler=sharded-fragment",
                "--uneven=" + uneven.toString().toLowerCase(java.util.Locale.ROOT),
                "--log-rows=" + rows,
                "--metrics=" + file);
        assertThat(result.status()).as(result.output()).isZero();
        List<Line> lines = RowLogs.read(rows);
        int steps = Math.ceilDiv(uneven == Uneven.DROP ? 9 : FRAGMENT, BATCH);
        assertThat(lines).hasSize(2 * steps * RANKS);
        List<String> metrics = Files.readAllLines(file);
        assertThat(metrics).hasSize(2);
        for (int epoch = 0; epoch < 2; epoch++) {
            int number = epoch;
            List<Line> ofEpoch =
                    lines.stream().filter(line -> line.epoch() == number).toList();
            List<Long> seen =
                    ofEpoch.stream().flatMap(line -> line.rows().stream()).toList();
            assertThat(seen).hasSize(uneven == Uneven.DROP ? RANKS * 9 : ROWS);
            assertThat(new HashSet<>(seen)).as("no row twice").hasSameSizeAs(seen);
            assertThat(ofEpoch.stream().filter(line -> line.rows().isEmpty()))
                    .as("steps in which a rank has no row")
                    .hasSize(uneven == Uneven.DROP ? 0 : 2);
            JsonNode told = new ObjectMapper().readTree(metrics.get(epoch));
            assertThat(told.get("images_seen").asInt()).isEqualTo(seen.size());
            assertThat(told.get("steps").asInt()).isEqualTo(steps);
            double sum = ofEpoch.stream()
                    .mapToDouble(line -> line.loss() * line.rows().size())
                    .sum();
            assertThat(told.get("loss").asDouble()).isCloseTo(sum / seen.size(), within(1e-9));
        }
    }

    @Test
    void ranksThatMustNotBeUnevenAreRefused() throws Exception {
        Result result = CommandLineRun.run(
                "train", dataset, "--nproc-per-node=3", "--sampler=sharded-fragment", "--uneven=refuse");
        assertThat(result.status()).isEqualTo(1);
        assertThat(result.output()).contains("fragments deal 30 rows to rank").doesNotContain("\tat ");
    }

    /** Drawings, of which the one at row 5 is cut short and has that label. */
    private static String withABadImage(long label) {
        String uri = folder.resolve("bad-" + label + ".lance").toString();
        var shapes = new ShapesSource(20, 0);
        Schema schema = Schema.of(Field.binary(DatasetCreation.IMAGE), Field.int64(DatasetCreation.LABEL))
                .withMetadata(Map.of(
                        DatasetCreation.CLASSES, "[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"));
        try (var writer = LanceWriter.to(uri, schema).open()) {
            for (int i = 0; i < shapes.size(); i++) {
                byte[] image = shapes.image(i);
                writer.append(
                        i == 5 ? java.util.Arrays.copyOf(image, 100) : image, i == 5 ? label : (long) shapes.label(i));
            }
            writer.finish();
        }
        return uri;
    }

    private static float[] trainedWeights(String dataset, BadRows policy, Uneven uneven) throws Exception {
        Path model = folder.resolve("bad.pt");
        Path file = folder.resolve("bad.jsonl");
        Result result = CommandLineRun.run(
                "train",
                dataset,
                "--no-ddp",
                "--epochs=1",
                "--batch-size=10",
                "--image-size=32",
                "--bad-rows=" + policy,
                "--uneven=" + uneven,
                "--metrics=" + file,
                "--save=" + model);
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(new ObjectMapper().readTree(file.toFile()).get("images_seen").asInt())
                .as("%s, %s", policy, uneven)
                .isEqualTo(19);
        try (var _ = new TensorScope()) {
            Tensor weight = StateDict.load(model).get("layer2.0.conv1.weight");
            return weight.toFloats();
        }
    }

    @Test
    void labelOfAnImageThatCannotBeDecodedTeachesNothing() throws Exception {
        String one = withABadImage(1);
        String other = withABadImage(2);
        assertThat(trainedWeights(one, BadRows.SUBSTITUTE, Uneven.PAD))
                .isEqualTo(trainedWeights(other, BadRows.SUBSTITUTE, Uneven.PAD));
        assertThat(trainedWeights(one, BadRows.SKIP, Uneven.JOIN))
                .isEqualTo(trainedWeights(other, BadRows.SKIP, Uneven.JOIN));
    }
}
