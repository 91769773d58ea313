package io.lancetorch.tracking;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.tracking.testing.TestServer;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.mlflow.api.proto.Service;
import org.mlflow.tracking.MlflowClient;

/** What a real MLflow server tells of the runs that were told it, by its own API. */
@Timeout(600)
class MlflowTrackerTest {
    @TempDir
    private static Path folder;

    private static TestServer server;
    private static MlflowClient client;

    private final List<String> said = new CopyOnWriteArrayList<>();

    @BeforeAll
    static void startServer() throws Exception {
        server = TestServer.mlflow(folder);
        client = new MlflowClient(server.uri());
    }

    @AfterAll
    static void stopServer() throws Exception {
        if (server != null) {
            client.close();
            server.close();
        }
    }

    private MlflowTracker.Builder builder(String experiment) {
        return MlflowTracker.to(server.uri())
                .experiment(experiment)
                .runName("first")
                .patience(Duration.ofSeconds(60))
                .say(said::add)
                .folder(folder.resolve(experiment));
    }

    private static Service.Run run(String experiment) {
        String id = client.getExperimentByName(experiment).orElseThrow().getExperimentId();
        List<Service.RunInfo> runs = client.searchRuns(List.of(id), null, Service.ViewType.ALL, 10).getItems().stream()
                .map(Service.Run::getInfo)
                .toList();
        assertThat(runs).hasSize(1);
        return client.getRun(runs.getFirst().getRunId());
    }

    private static Stream<Long> steps(Service.Run run, String metric) {
        return client.getMetricHistory(run.getInfo().getRunId(), metric).stream()
                .map(Service.Metric::getStep)
                .sorted();
    }

    private static Map<String, String> tags(Service.Run run) {
        return run.getData().getTagsList().stream()
                .collect(java.util.stream.Collectors.toMap(Service.RunTag::getKey, Service.RunTag::getValue));
    }

    private static Map<String, String> parameters(Service.Run run) {
        return run.getData().getParamsList().stream()
                .collect(java.util.stream.Collectors.toMap(Service.Param::getKey, Service.Param::getValue));
    }

    private static Long[] range(long last) {
        return LongStream.rangeClosed(1, last).boxed().toArray(Long[]::new);
    }

    private List<Path> kept(String experiment) throws Exception {
        try (Stream<Path> files = Files.list(folder.resolve(experiment))) {
            return files.filter(file -> file.getFileName().toString().startsWith("mlflow-unsent"))
                    .toList();
        }
    }

    @Test
    void serverTellsWhatItWasToldAndAResumedRunIsTheSameOne() throws Exception {
        try (MlflowTracker tracker = builder("resumed").open()) {
            tracker.start(0);
            tracker.parameters(Map.of("lr", "0.1", "epochs", "1", "long", "x".repeat(10_000)));
            tracker.tags(Map.of("checkpoint", "/some/where.pt"));
            for (int step = 1; step <= 1500; step++) {
                tracker.metrics(step, Map.of("loss", 1.0 / step));
            }
            tracker.metrics(1500, Map.of("no such: name?*", 1.0, "fine", 2.0));
            tracker.end(RunStatus.FAILED);
        }
        Service.Run failed = run("resumed");
        assertThat(failed.getInfo().getStatus()).isEqualTo(Service.RunStatus.FAILED);
        assertThat(failed.getInfo().getRunName()).isEqualTo("first");
        assertThat(parameters(failed)).containsEntry("lr", "0.1").containsEntry("epochs", "1");
        assertThat(parameters(failed).get("long")).hasSize(6_000);
        assertThat(tags(failed)).containsEntry("checkpoint", "/some/where.pt");
        assertThat(steps(failed, "loss")).containsExactly(range(1500));
        assertThat(client.getMetricHistory(failed.getInfo().getRunId(), "loss").stream()
                        .filter(metric -> metric.getStep() == 3)
                        .map(Service.Metric::getValue))
                .containsExactly(1.0 / 3);
        assertThat(failed.getData().getMetricsList().stream()
                        .filter(metric -> metric.getKey().equals("fine"))
                        .map(Service.Metric::getValue))
                .containsExactly(2.0);
        assertThat(said).singleElement().asString().contains("refuses the metric no such: name?*");

        try (MlflowTracker tracker = builder("resumed").resume(true).open()) {
            tracker.start(1500);
            tracker.parameters(Map.of("lr", "0.1", "epochs", "2"));
            tracker.metrics(1501, Map.of("loss", 0.0));
            tracker.end(RunStatus.FINISHED);
        }
        Service.Run finished = run("resumed");
        assertThat(finished.getInfo().getRunId()).isEqualTo(failed.getInfo().getRunId());
        assertThat(finished.getInfo().getStatus()).isEqualTo(Service.RunStatus.FINISHED);
        assertThat(steps(finished, "loss")).containsExactly(range(1501));
        assertThat(tags(finished)).containsEntry("resumed.epochs", "2").doesNotContainKey("resumed.lr");
        assertThat(said).hasSize(1);
    }

    @Test
    void serverThatIsKilledAndComesBackHasAllAndItIsSaidOnce() throws Exception {
        try (MlflowTracker tracker = builder("outage").open()) {
            tracker.start(0);
            tracker.metrics(1, Map.of("loss", 1.0));
            while (client.getExperimentByName("outage").isEmpty()) {
                Thread.sleep(100);
            }
            server.kill();
            // More than the queue takes: none waits, and none is lost.
            for (int step = 2; step <= 12_000; step++) {
                tracker.metrics(step, Map.of("loss", 1.0));
            }
            while (kept("outage").isEmpty() || said.isEmpty()) {
                Thread.sleep(50);
            }
            server.start();
            tracker.metrics(12_001, Map.of("loss", 1.0));
            tracker.end(RunStatus.FINISHED);
        }
        Service.Run run = run("outage");
        assertThat(run.getInfo().getStatus()).isEqualTo(Service.RunStatus.FINISHED);
        assertThat(steps(run, "loss")).containsExactly(range(12_001));
        assertThat(kept("outage")).isEmpty();
        assertThat(said).hasSize(2);
        assertThat(said.getFirst()).contains("MLflow at " + server.uri(), "the run goes on", "mlflow-unsent");
        assertThat(said.getLast()).contains("answers again");
    }

    @Test
    void whatAServerThatStaysAwayHasNotTakenIsKeptAndCanBeSent() throws Exception {
        server.kill();
        try (MlflowTracker tracker =
                builder("away").patience(Duration.ofMillis(300)).open()) {
            tracker.start(0);
            tracker.parameters(Map.of("lr", "0.1"));
            tracker.metrics(1, Map.of("loss", 1.0));
            tracker.end(RunStatus.FINISHED);
        }
        Path unsent = kept("away").getFirst();
        assertThat(said.getLast()).contains("./lancetorch track " + unsent);
        assertThatThrownBy(() -> MlflowTracker.send(unsent, said::add))
                .isInstanceOf(java.io.IOException.class)
                .hasMessageContaining(server.uri());
        assertThat(unsent).exists();
        server.start();
        String id = MlflowTracker.send(unsent, said::add);
        assertThat(unsent).doesNotExist();
        Service.Run run = run("away");
        assertThat(run.getInfo().getRunId()).isEqualTo(id);
        assertThat(run.getInfo().getStatus()).isEqualTo(Service.RunStatus.FINISHED);
        assertThat(parameters(run)).containsEntry("lr", "0.1");
        assertThat(steps(run, "loss")).containsExactly(1L);
    }

    @Test
    void runWhoseProcessWasKilledCanBeMarkedByAnother() throws Exception {
        MlflowTracker tracker = builder("abandoned").open();
        tracker.start(0);
        tracker.metrics(1, Map.of("loss", 1.0));
        tracker.close();
        assertThat(run("abandoned").getInfo().getStatus()).isEqualTo(Service.RunStatus.RUNNING);
        MlflowTracker.endAbandoned(folder.resolve("abandoned"), RunStatus.KILLED);
        assertThat(run("abandoned").getInfo().getStatus()).isEqualTo(Service.RunStatus.KILLED);
        MlflowTracker.endAbandoned(folder.resolve("abandoned"), RunStatus.FAILED);
        assertThat(run("abandoned").getInfo().getStatus()).isEqualTo(Service.RunStatus.KILLED);
    }

    @Test
    void serverThatTakesConnectionsAndNeverAnswersHoldsNobodyUp() throws Exception {
        try (var silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            Path here = folder.resolve("silent");
            try (MlflowTracker tracker = MlflowTracker.to("http://127.0.0.1:" + silent.getLocalPort())
                    .folder(here)
                    .patience(Duration.ofSeconds(1))
                    .say(said::add)
                    .open()) {
                tracker.start(0);
                for (int step = 1; step <= 20_000; step++) {
                    tracker.metrics(step, Map.of("loss", 1.0));
                }
            }
            Path unsent = kept("silent").getFirst();
            assertThat(JsonLinesTracker.read(unsent)).hasSize(20_001);
            assertThat(said).singleElement().asString().contains(unsent.toString());
        }
    }

    @Test
    void urisThatNameNoServerAreRefused() {
        for (String uri :
                List.of("127.0.0.1:5000", "http//x", "http://", "ftp://x", "file:/tmp/mlruns", "http://a b")) {
            assertThatThrownBy(() -> MlflowTracker.to(uri))
                    .as(uri)
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(uri);
        }
        assertThatThrownBy(() -> MlflowTracker.to("http://me:secret@x:5000"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("MLFLOW_TRACKING_USERNAME")
                .hasMessageNotContaining("secret");
    }
}
