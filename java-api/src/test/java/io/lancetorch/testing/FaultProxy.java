package io.lancetorch.testing;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Toxiproxy on 127.0.0.1: links to a server, each of which can be cut, slowed or made to stall. */
public final class FaultProxy implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final Pattern LISTEN = Pattern.compile("\"listen\":\\s*\"([^\"]+)\"");

    private final HttpClient client = HttpClient.newHttpClient();
    private final AtomicInteger links = new AtomicInteger();
    private final Process process;
    private final String api;

    /** Starts it; skips the test where it cannot be built. */
    public FaultProxy(Path folder) throws IOException, InterruptedException {
        Path program = GoProgram.build("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0");
        int port = GoProgram.freePort();
        api = "http://127.0.0.1:" + port;
        process = GoProgram.start(
                folder.resolve("toxiproxy.log"),
                folder,
                List.of(program.toString(), "-host", "127.0.0.1", "-port", Integer.toString(port)));
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                call("GET", "/version", "");
                return;
            } catch (IOException e) {
                assertThat(System.nanoTime())
                        .as("Toxiproxy does not answer: " + e)
                        .isLessThan(end);
                Thread.sleep(100);
            }
        }
    }

    private String call(String method, String path, String json) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(api + path))
                .timeout(PATIENCE)
                .method(method, HttpRequest.BodyPublishers.ofString(json))
                .build();
        HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
        assertThat(response.statusCode() / 100)
                .as(method + " " + path + ": " + response.body())
                .isEqualTo(2);
        return response.body();
    }

    /** A new way to {@code server}, without faults. */
    public Link link(String server) throws IOException, InterruptedException {
        String name = "link" + links.incrementAndGet();
        String made = call(
                "POST",
                "/proxies",
                "{\"name\": \"%s\", \"listen\": \"127.0.0.1:0\", \"upstream\": \"%s\"}".formatted(name, server));
        Matcher listen = LISTEN.matcher(made);
        assertThat(listen.find()).as(made).isTrue();
        return new Link(name, listen.group(1));
    }

    /** One way to a server. */
    public final class Link {
        private final String name;
        private final String address;

        private Link(String name, String address) {
            this.name = name;
            this.address = address;
        }

        /** Where it listens, as host and port. */
        public String address() {
            return address;
        }

        /** Ends all connections, and refuses new ones. */
        public void cut() throws IOException, InterruptedException {
            call("POST", "/proxies/" + name, "{\"enabled\": false}");
        }

        /** Without faults again. */
        public void mend() throws IOException, InterruptedException {
            call("POST", "/proxies/" + name, "{\"enabled\": true}");
            String all = call("GET", "/proxies/" + name + "/toxics", "");
            Matcher toxic = Pattern.compile("\"name\":\\s*\"([^\"]+)\"").matcher(all);
            while (toxic.find()) {
                call("DELETE", "/proxies/" + name + "/toxics/" + toxic.group(1), "");
            }
        }

        /** What the server sends comes no more, and nobody ends the connections. */
        public void stall() throws IOException, InterruptedException {
            toxic("timeout", 1, "\"timeout\": 0");
        }

        /** Ends a share of the connections with a reset, a while after they are made. */
        public void reset(double share, Duration after) throws IOException, InterruptedException {
            toxic("reset_peer", share, "\"timeout\": " + after.toMillis());
        }

        /** Ends each connection after so many bytes of answers. */
        public void endAfter(long bytes) throws IOException, InterruptedException {
            toxic("limit_data", 1, "\"bytes\": " + bytes);
        }

        /** Delays answers, and limits the rate at which they come, in KB a second for each connection. */
        public void slow(Duration latency, long rate) throws IOException, InterruptedException {
            toxic("latency", 1, "\"latency\": " + latency.toMillis());
            toxic("bandwidth", 1, "\"rate\": " + rate);
        }

        private void toxic(String type, double share, String attributes) throws IOException, InterruptedException {
            call(
                    "POST",
                    "/proxies/" + name + "/toxics",
                    "{\"name\": \"%1$s\", \"type\": \"%1$s\", \"stream\": \"downstream\", \"toxicity\": %2$s, \"attributes\": {%3$s}}"
                            .formatted(type, share, attributes));
        }
    }

    @Override
    public void close() throws IOException {
        GoProgram.stop(process);
        client.close();
    }
}
