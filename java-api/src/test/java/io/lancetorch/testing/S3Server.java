package io.lancetorch.testing;

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

/** An S3 server on 127.0.0.1, the Versity gateway over a folder, with one bucket, and a key that may read and write. */
public final class S3Server implements AutoCloseable {
    public static final String BUCKET = "training";
    public static final String ACCESS_KEY = "lancetorch-test";
    public static final String SECRET_KEY = "no-secret-at-all";

    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final Process process;
    private final String address;

    /** Starts a server that keeps its objects in {@code folder}; skips the test where it cannot be built. */
    public S3Server(Path folder) throws IOException, InterruptedException {
        Path program = GoProgram.build("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0");
        Path buckets = Files.createDirectories(folder.resolve("buckets"));
        Files.createDirectory(buckets.resolve(BUCKET));
        Path log = folder.resolve("s3.log");
        address = "127.0.0.1:" + GoProgram.freePort();
        process = GoProgram.start(
                log,
                folder,
                List.of(
                        program.toString(),
                        "--port=" + address,
                        "--access=" + ACCESS_KEY,
                        "--secret=" + SECRET_KEY,
                        "--region=us-east-1",
                        "--keep-alive",
                        "--quiet",
                        "--health=/health",
                        // Without it, the answer to an unknown key is another than Amazon's.
                        "--iam-dir=" + Files.createDirectory(folder.resolve("iam")),
                        "posix",
                        // Not every folder for temporary files keeps attributes of files.
                        "--sidecar=" + Files.createDirectory(folder.resolve("attributes")),
                        buckets.toString()));
        try {
            awaitAnswer(log);
        } catch (IOException | InterruptedException | RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private void awaitAnswer(Path log) throws IOException, InterruptedException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        HttpRequest health = HttpRequest.newBuilder(URI.create("http://" + address + "/health"))
                .timeout(PATIENCE)
                .build();
        try (HttpClient client = HttpClient.newHttpClient()) {
            while (true) {
                try {
                    assertThat(client.send(health, HttpResponse.BodyHandlers.discarding())
                                    .statusCode())
                            .isEqualTo(200);
                    return;
                } catch (IOException e) {
                    assertThat(System.nanoTime())
                            .as("no S3 server: " + Files.readString(log))
                            .isLessThan(end);
                    Thread.sleep(50);
                }
            }
        }
    }

    /** Its host and port. */
    public String address() {
        return address;
    }

    /** The options with which a dataset is opened through {@code address}: this server's, or a proxy's. */
    public static Map<String, String> options(String address) {
        return Map.of(
                "endpoint",
                "http://" + address,
                "allow_http",
                "true",
                "region",
                "us-east-1",
                "access_key_id",
                ACCESS_KEY,
                "secret_access_key",
                SECRET_KEY);
    }

    @Override
    public void close() throws IOException {
        GoProgram.stop(process);
    }
}
