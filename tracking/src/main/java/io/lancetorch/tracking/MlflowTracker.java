package io.lancetorch.tracking;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Tells an MLflow server of the run: parameters, metrics, tags and status; images are left out. A thread of its own sends them,
 * so that the run never waits; what a server that is away cannot take is kept in a file, and sent when it answers again, be it
 * by a later process that goes on with the run, or by {@link #send}.
 *
 * <p>The server's user is that of MLflow's variables {@code MLFLOW_TRACKING_USERNAME} and {@code _PASSWORD}, or
 * {@code MLFLOW_TRACKING_TOKEN}.
 */
public final class MlflowTracker implements Tracker {
    /** Whoever ends a process by a signal waits for it for some seconds alone. */
    private static final Duration LAST_WORDS = Duration.ofSeconds(3);

    private final String uri;
    private final MlflowServer server;
    private final Outbox outbox;

    private MlflowTracker(String uri, MlflowServer server, Outbox outbox) {
        this.uri = uri;
        this.server = server;
        this.outbox = outbox;
    }

    /**
     * The server at {@code uri}, such as {@code http://127.0.0.1:5000}, or {@code databricks} or {@code databricks://PROFILE}.
     * It need not answer yet.
     *
     * @throws IllegalArgumentException if it is none of these
     */
    public static Builder to(String uri) {
        return new Builder(uri);
    }

    /** What there is to say about a run before it begins. */
    public static final class Builder {
        private final String uri;
        private String experiment = "lancetorch";
        private String name;
        private Path folder;
        private boolean resume;
        private Duration patience = Duration.ofSeconds(10);
        private Consumer<String> say = System.err::println;

        private Builder(String uri) {
            this.uri = checked(uri);
        }

        private static String checked(String uri) {
            if (uri.equals("databricks") || uri.startsWith("databricks://")) {
                return uri;
            }
            try {
                URI parsed = URI.create(uri);
                if (parsed.getHost() != null
                        && ("http".equals(parsed.getScheme()) || "https".equals(parsed.getScheme()))) {
                    if (parsed.getUserInfo() != null) {
                        throw new IllegalArgumentException(
                                "name MLflow's user by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, not in the URI");
                    }
                    return uri.replaceFirst("/+$", "");
                }
            } catch (IllegalArgumentException e) {
                if (e.getCause() == null) {
                    throw e;
                }
            }
            throw new IllegalArgumentException(
                    "an MLflow server is at a URI such as http://127.0.0.1:5000, not " + uri);
        }

        /** The experiment's name; made where it is missing. Default: {@code lancetorch}. */
        public Builder experiment(String experiment) {
            this.experiment = experiment;
            return this;
        }

        /** The run's name. Default: one that the server makes up. */
        public Builder runName(String name) {
            this.name = name;
            return this;
        }

        /**
         * Where to remember the run, and to keep what the server has not taken; made where it is missing. Default: nothing is
         * remembered, and the rest is kept in the current folder.
         */
        public Builder folder(Path folder) {
            this.folder = folder;
            return this;
        }

        /** Whether to go on with the run that the folder remembers, where it remembers one. Default: no. */
        public Builder resume(boolean resume) {
            this.resume = resume;
            return this;
        }

        /** How long {@link MlflowTracker#close} waits for the server; of a killed run no more than 3 s. Default: 10 s. */
        public Builder patience(Duration patience) {
            this.patience = patience;
            return this;
        }

        /** Who is told, in a line, when the server is away, and what is kept where. Default: the standard error output. */
        public Builder say(Consumer<String> say) {
            this.say = say;
            return this;
        }

        /**
         * Begins to send.
         *
         * @throws UncheckedIOException if the folder cannot be read or written
         */
        public MlflowTracker open() {
            try {
                MlflowRun before = resume && folder != null ? MlflowRun.read(folder) : null;
                MlflowRun run = before == null
                        ? new MlflowRun(uri, experiment, name, UUID.randomUUID().toString(), null)
                        : before.at(uri);
                if (folder != null) {
                    run.write(folder);
                }
                Path here = folder == null ? Path.of("") : folder;
                MlflowServer.Found found = folder == null ? _ -> {} : identified -> identified.write(folder);
                var server = new MlflowServer(run, found, say);
                var spool = new Spool(run.spool(here), run.json());
                return new MlflowTracker(uri, server, new Outbox("MLflow at " + uri, server, spool, patience, say));
            } catch (IOException e) {
                throw new UncheckedIOException("cannot keep the run's place in MLflow: " + e.getMessage(), e);
            }
        }
    }

    @Override
    public void track(TrackingEvent event) {
        if (event instanceof TrackingEvent.Ended ended && ended.status() == RunStatus.KILLED) {
            outbox.hurry(LAST_WORDS);
        }
        outbox.put(event);
    }

    @Override
    public void close() {
        outbox.close();
        server.close();
    }

    /**
     * Marks the run that a folder remembers as ended, if the server still takes it for running: for whoever has seen the run's
     * process die without a word. Does nothing where the folder remembers no run.
     *
     * @throws IOException if the server does not answer
     */
    public static void endAbandoned(Path folder, RunStatus status) throws IOException {
        MlflowRun run = MlflowRun.read(folder);
        if (run == null || run.id() == null) {
            return;
        }
        try (var server = new MlflowServer(run, _ -> {}, _ -> {})) {
            server.endIfRunning(status);
        }
    }

    /**
     * Sends what a server has not taken during a run, from the file in which it was kept, and then deletes that.
     *
     * @param say told, in a line, of what the server refuses
     * @return the server's id of the run
     * @throws IOException if the file is none of these, or the server does not answer; what it has not taken stays in the file
     */
    public static String send(Path unsent, Consumer<String> say) throws IOException {
        MlflowRun run;
        try (Stream<String> lines = Files.lines(unsent)) {
            run = MlflowRun.parse(lines.findFirst().orElse(""));
        } catch (UncheckedIOException | com.fasterxml.jackson.core.JsonProcessingException e) {
            throw new IOException(unsent + " is no file of what a run could not send", e);
        }
        String[] id = {run.id()};
        try (var server = new MlflowServer(run, identified -> id[0] = identified.id(), say)) {
            new Spool(unsent, "").drain(500, server::send);
        } catch (IOException e) {
            throw new IOException("MLflow at " + run.uri() + ": " + e.getMessage(), e);
        }
        return id[0];
    }

    @Override
    public String toString() {
        return "mlflow:" + uri;
    }
}
