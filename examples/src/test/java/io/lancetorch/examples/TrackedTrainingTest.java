package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.tracking.JsonLinesTracker;
import io.lancetorch.tracking.RunStatus;
import io.lancetorch.tracking.TrackingEvent;
import io.lancetorch.tracking.TrackingEvent.Ended;
import io.lancetorch.tracking.TrackingEvent.Image;
import io.lancetorch.tracking.TrackingEvent.Metrics;
import io.lancetorch.tracking.testing.TestServer;
import io.lancetorch.tracking.testing.TrackingPrograms;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.mlflow.api.proto.Service;
import org.mlflow.tracking.MlflowClient;

/** What a real MLflow server, TensorBoard and the run's folder tell of runs, also of runs that are killed. */
@Timeout(900)
class TrackedTrainingTest {
    private static final int RANKS = 2;

    @TempDir
    private static Path folder;

    private static String dataset;
    private static TestServer server;
    private static MlflowClient client;

    @BeforeAll
    static void start() throws Exception {
        server = TestServer.mlflow(folder);
        client = new MlflowClient(server.uri());
        dataset = CommandLineRun.createDataset(folder, 120, 120);
    }

    @AfterAll
    static void stop() throws Exception {
        if (server != null) {
            client.close();
            server.close();
        }
    }

    private static String[] train(String name, String... more) {
        List<String> arguments = new ArrayList<>(List.of(
                "train",
                dataset,
                "--nproc-per-node=" + RANKS,
                "--batch-size=5",
                "--image-size=32",
                "--lr=0.01",
                "--val-fraction=0.2",
                "--track-every=2",
                "--experiment=" + name,
                "--run-name=the run",
                "--run-dir=" + folder.resolve(name),
                "--track=mlflow:" + server.uri() + "/",
                "--track=tensorboard:" + folder.resolve(name).resolve("events"),
                "--checkpoint=" + folder.resolve(name).resolve("checkpoints")));
        arguments.addAll(List.of(more));
        return arguments.toArray(String[]::new);
    }

    private static Service.Run run(String name) {
        String id = client.getExperimentByName(name).orElseThrow().getExperimentId();
        List<Service.Run> runs =
                client.searchRuns(List.of(id), null, Service.ViewType.ALL, 10).getItems();
        assertThat(runs).hasSize(1);
        return client.getRun(runs.getFirst().getInfo().getRunId());
    }

    private static List<TrackingEvent> events(String name, String file) throws Exception {
        return JsonLinesTracker.read(folder.resolve(name).resolve(file));
    }

    /** Of each step, the last that was told. */
    private static SortedMap<Long, Double> told(String name, String metric) throws Exception {
        SortedMap<Long, Double> values = new TreeMap<>();
        for (TrackingEvent event : events(name, "metrics.jsonl")) {
            if (event instanceof Metrics metrics && metrics.values().containsKey(metric)) {
                values.put(metrics.step(), metrics.values().get(metric));
            }
        }
        return values;
    }

    private static SortedMap<Long, Double> ofMlflow(String name, String metric) {
        SortedMap<Long, Double> values = new TreeMap<>();
        client.getMetricHistory(run(name).getInfo().getRunId(), metric)
                .forEach(value -> values.put(value.getStep(), value.getValue()));
        return values;
    }

    private static SortedMap<Long, Double> ofTensorBoard(String name, String metric) throws Exception {
        SortedMap<Long, Double> values = new TreeMap<>();
        JsonNode events = new ObjectMapper()
                .readTree(TrackingPrograms.readEvents(folder.resolve(name).resolve("events")));
        events.get("scalars")
                .path(metric)
                .forEach(point -> values.put(point.get(0).asLong(), point.get(1).asDouble()));
        return values;
    }

    private static SortedMap<Long, Double> asFloats(SortedMap<Long, Double> values) {
        SortedMap<Long, Double> rounded = new TreeMap<>();
        values.forEach((step, value) -> rounded.put(step, (double) value.floatValue()));
        return rounded;
    }

    @Test
    void mlflowAndTensorBoardTellWhatTheRunDidAlsoWhereItWasResumed() throws Exception {
        Result result = CommandLineRun.run(train("whole", "--epochs=2"));
        assertThat(result.status()).as(result.output()).isZero();
        Service.Run first = run("whole");
        assertThat(first.getInfo().getStatus()).isEqualTo(Service.RunStatus.FINISHED);
        assertThat(first.getInfo().getRunName()).isEqualTo("the run");
        result = CommandLineRun.run(train("whole", "--epochs=3", "--resume"));
        assertThat(result.status()).as(result.output()).isZero();
        Service.Run run = run("whole");
        assertThat(run.getInfo().getRunId()).isEqualTo(first.getInfo().getRunId());
        assertThat(run.getInfo().getStatus()).isEqualTo(Service.RunStatus.FINISHED);
        assertThat(run.getData().getParamsList().stream()
                        .collect(Collectors.toMap(Service.Param::getKey, Service.Param::getValue)))
                .containsEntry("batch_size", "5")
                .containsEntry("epochs", "2")
                .containsEntry("world_size", "2")
                .containsEntry("dataset", dataset);
        Map<String, String> tags = run.getData().getTagsList().stream()
                .collect(Collectors.toMap(Service.RunTag::getKey, Service.RunTag::getValue));
        assertThat(tags).containsEntry("resumed.epochs", "3");
        assertThat(Path.of(tags.get("checkpoint")))
                .isRegularFile()
                .hasParent(folder.resolve("whole").resolve("checkpoints"));

        // 100 images, 2 ranks, batches of 5: 10 steps an epoch.
        assertThat(told("whole", "step/loss").keySet())
                .containsExactly(2L, 4L, 6L, 8L, 10L, 12L, 14L, 16L, 18L, 20L, 22L, 24L, 26L, 28L, 30L);
        assertThat(told("whole", "loss").keySet()).containsExactly(10L, 20L, 30L);
        for (String metric : List.of(
                "step/loss",
                "step/learning_rate",
                "step/images_per_second",
                "step/data_wait_fraction",
                "loss",
                "images_per_second",
                "data_wait_fraction",
                "val_accuracy",
                "rank/1/images_per_second",
                "rank/1/data_wait_fraction")) {
            SortedMap<Long, Double> told = told("whole", metric);
            assertThat(told).as(metric).isNotEmpty();
            assertThat(ofMlflow("whole", metric)).as(metric).isEqualTo(told);
            assertThat(ofTensorBoard("whole", metric)).as(metric).isEqualTo(asFloats(told));
        }
        assertThat(ofMlflow("whole", "system/process_rss_megabytes").values())
                .isNotEmpty()
                .allSatisfy(megabytes -> assertThat(megabytes).isGreaterThan(50));

        assertThat(events("whole", "rank-1.jsonl").stream().filter(Metrics.class::isInstance))
                .hasSize(15);
        List<Image> images = events("whole", "metrics.jsonl").stream()
                .filter(Image.class::isInstance)
                .map(Image.class::cast)
                .filter(image -> image.step() == 30)
                .toList();
        assertThat(images).isNotEmpty();
        for (Image image : images) {
            assertThat(ImageIO.read(image.file().toFile()).getWidth()).isEqualTo(32);
            assertThat(image.about()).containsKeys("label", "prediction", "confidence");
        }
    }

    @Test
    void serverThatIsKilledInTheMidstOfTheRunHasAllInTheEnd() throws Exception {
        Path rows = folder.resolve("rows");
        Result result;
        try (var run = new RunningTraining(
                Map.of(), CommandLineRun.command(train("outage", "--epochs=6", "--log-rows=" + rows)), rows)) {
            assertThat(run.awaitStep(10)).isTrue();
            server.kill();
            assertThat(run.awaitStep(22)).isTrue();
            server.start();
            result = run.await();
        }
        assertThat(result.status()).as(result.output()).isZero();
        // Where the machine is so slow that the server is back after the end alone.
        for (Path unsent : unsent("outage")) {
            Result sent = CommandLineRun.run("track", unsent.toString());
            assertThat(sent.status()).as(sent.output()).isZero();
        }
        assertThat(result.output().lines().filter(line -> line.contains("the run goes on")))
                .as(result.output())
                .singleElement()
                .asString()
                .contains("MLflow at " + server.uri(), "mlflow-unsent");
        assertThat(told("outage", "step/loss")).hasSize(30);
        for (String metric : List.of("step/loss", "loss", "val_accuracy")) {
            assertThat(ofMlflow("outage", metric)).as(metric).isEqualTo(told("outage", metric));
        }
        assertThat(run("outage").getInfo().getStatus()).isEqualTo(Service.RunStatus.FINISHED);
    }

    private static List<Path> unsent(String name) throws Exception {
        try (var files = Files.list(folder.resolve(name).resolve("checkpoints"))) {
            return files.filter(file -> file.getFileName().toString().startsWith("mlflow-unsent"))
                    .toList();
        }
    }

    @Test
    void killedRunsLeaveReadableFilesAndAreMarked() throws Exception {
        for (String signal : List.of("KILL", "TERM")) {
            String name = "killed-" + signal;
            Path rows = folder.resolve("rows-" + name);
            Result result;
            try (var run = new RunningTraining(
                    Map.of(), CommandLineRun.command(train(name, "--epochs=100", "--log-rows=" + rows)), rows)) {
                assertThat(run.awaitStep(12)).isTrue();
                run.signal(0, signal);
                result = run.await();
            }
            assertThat(result.status()).as(result.output()).isNotZero();
            assertThat(run(name).getInfo().getStatus()).as(result.output()).isEqualTo(Service.RunStatus.KILLED);
            SortedMap<Long, Double> told = told(name, "step/loss");
            assertThat(told).hasSizeGreaterThanOrEqualTo(5);
            assertThat(ofTensorBoard(name, "step/loss")).isEqualTo(asFloats(told));
            if (signal.equals("TERM")) {
                assertThat(ofMlflow(name, "step/loss")).isEqualTo(told);
                assertThat(events(name, "metrics.jsonl").getLast())
                        .isInstanceOfSatisfying(
                                Ended.class, ended -> assertThat(ended.status()).isEqualTo(RunStatus.KILLED));
            }
        }
    }

    @Test
    void wrongPlacesAreToldInALineBeforeAnythingStarts() throws Exception {
        Map<String, String> wrong = Map.of(
                "mlfow:http://127.0.0.1:5000",
                "a place is mlflow:URI, tensorboard:DIR or jsonl:FILE",
                "mlflow:127.0.0.1:5000",
                "at a URI such as http://127.0.0.1:5000",
                "tensorboard:",
                "say where",
                "http://127.0.0.1:5000",
                "a place is mlflow:URI",
                "jsonl:" + folder.resolve("none/x.jsonl"),
                "no folder");
        for (Map.Entry<String, String> entry : wrong.entrySet()) {
            Result result = CommandLineRun.run("train", dataset, "--track", entry.getKey());
            assertThat(result.status()).as(result.output()).isEqualTo(1);
            assertThat(result.output()).contains(entry.getValue()).hasLineCount(1);
        }
        Path used = Files.createDirectories(folder.resolve("used"));
        Files.createFile(used.resolve("metrics.jsonl"));
        Result result = CommandLineRun.run("train", dataset, "--run-dir", used.toString());
        assertThat(result.status()).isEqualTo(1);
        assertThat(result.output()).contains("has another run", "--resume");
    }
}
