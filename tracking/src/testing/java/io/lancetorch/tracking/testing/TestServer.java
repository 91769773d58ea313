package io.lancetorch.tracking.testing;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** A real MLflow or TensorBoard server on a port of 127.0.0.1, which can be killed, and started again with what it had. */
public final class TestServer implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    private final Path log;
    private final String uri;
    private final String health;
    private final List<String> command;
    private Process process;

    private TestServer(Path log, int port, String health, List<String> command) throws Exception {
        this.log = log;
        this.uri = "http://127.0.0.1:" + port;
        this.health = health;
        this.command = command;
        start();
    }

    /** An MLflow server that keeps all in {@code folder}; skips the test where it cannot be installed. */
    public static TestServer mlflow(Path folder) throws Exception {
        int port = TrackingPrograms.freePort();
        return new TestServer(
                folder.resolve("mlflow.log"),
                port,
                "/health",
                List.of(
                        TrackingPrograms.bin().resolve("mlflow").toString(),
                        "server",
                        "--host=127.0.0.1",
                        "--port=" + port,
                        "--workers=1",
                        "--backend-store-uri=sqlite:///" + folder.resolve("mlflow.db"),
                        "--artifacts-destination=" + folder.resolve("artifacts")));
    }

    /** A TensorBoard that shows {@code folder}; skips the test where it cannot be installed. */
    public static TestServer tensorBoard(Path folder, Path log) throws Exception {
        int port = TrackingPrograms.freePort();
        return new TestServer(
                log,
                port,
                "/data/environment",
                List.of(
                        TrackingPrograms.bin().resolve("python").toString(),
                        "-m",
                        "tensorboard.main",
                        "--host=127.0.0.1",
                        "--port=" + port,
                        "--load_fast=false",
                        "--logdir=" + folder));
    }

    /** Starts the server, where it does not run, and waits until it answers. */
    public void start() throws Exception {
        process = TrackingPrograms.start(
                log,
                Map.of("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false", "MLFLOW_DISABLE_TELEMETRY", "true"),
                command);
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                get(health);
                return;
            } catch (IOException e) {
                assertThat(System.nanoTime())
                        .as("%s does not answer: %s", uri, Files.readString(log))
                        .isLessThan(end);
                Thread.sleep(200);
            }
        }
    }

    /** What it answers to a GET of a path, in text. */
    public String get(String path) throws IOException, InterruptedException {
        try (HttpClient client = HttpClient.newHttpClient()) {
            HttpResponse<String> answer = client.send(
                    HttpRequest.newBuilder(URI.create(uri + path))
                            .timeout(Duration.ofSeconds(30))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IOException(uri + path + ": " + answer.statusCode() + " " + answer.body());
            }
            return answer.body();
        }
    }

    /** Ends it as a machine does whose power fails. */
    public void kill() throws IOException {
        TrackingPrograms.kill(process);
    }

    public String uri() {
        return uri;
    }

    @Override
    public void close() throws IOException {
        kill();
    }
}
