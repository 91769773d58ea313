package io.lancetorch.tracking;

import io.lancetorch.tracking.TrackingEvent.Ended;
import io.lancetorch.tracking.TrackingEvent.Image;
import io.lancetorch.tracking.TrackingEvent.Metrics;
import io.lancetorch.tracking.TrackingEvent.Parameters;
import io.lancetorch.tracking.TrackingEvent.Started;
import io.lancetorch.tracking.TrackingEvent.Tags;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.mlflow.api.proto.Service;
import org.mlflow.tracking.MlflowClient;
import org.mlflow.tracking.MlflowHttpException;
import org.mlflow.tracking.creds.BasicMlflowHostCreds;

/** A run on an MLflow server, by MLflow's own client. One thread at a time. */
final class MlflowServer implements Outbox.Server, AutoCloseable {
    private static final String KEY = "lancetorch_run";
    private static final long REQUEST_SECONDS = 20;
    // MLflow's own limits.
    private static final int MOST_ENTRIES = 1_000;
    private static final int MOST_PARAMETERS = 100;
    private static final int LONGEST_PARAMETER = 6_000;
    private static final int LONGEST_TAG = 5_000;
    private static final int BAD_REQUEST = 400;

    /** Its HTTP client would log each attempt to reach a server that is away; held, since loggers are forgotten otherwise. */
    private static final Logger QUIET = Logger.getLogger("org.mlflow_project.apachehttp");

    static {
        QUIET.setLevel(Level.SEVERE);
    }

    /** An answer that is none of success. */
    private static final class Refusal extends IOException {
        private static final long serialVersionUID = 1L;

        private final int status;

        Refusal(int status, String message) {
            super("HTTP status " + status + (message == null || message.isBlank() ? "" : ": " + message.strip()));
            this.status = status;
        }
    }

    /** Remembers the run, once the server has given it its id. */
    interface Found {
        void run(MlflowRun run) throws IOException;
    }

    private final Found found;
    private final Consumer<String> say;
    private MlflowRun run;
    private boolean connected;
    private boolean resumed;
    private final Map<String, String> parameters = new HashMap<>();
    private MlflowClient client;
    private ExecutorService requests;

    MlflowServer(MlflowRun run, Found found, Consumer<String> say) {
        this.run = run;
        this.found = found;
        this.say = say;
    }

    @Override
    public void send(List<TrackingEvent> events) throws IOException {
        connect();
        List<Service.Metric> metrics = new ArrayList<>();
        for (TrackingEvent event : events) {
            switch (event) {
                case Started _ -> restart();
                case Parameters told -> parameters(told.values());
                case Tags tags -> tags(tags.values());
                case Metrics told ->
                    told.values()
                            .forEach((name, value) -> metrics.add(Service.Metric.newBuilder()
                                    .setKey(name)
                                    .setValue(value)
                                    .setTimestamp(told.time().toEpochMilli())
                                    .setStep(told.step())
                                    .build()));
                case Image _ -> {
                    // Its client sends files by running the command line of its Python package, which is not there.
                }
                case Ended ended -> {
                    metrics(metrics);
                    String id = run.id();
                    call(mlflow -> {
                        mlflow.setTerminated(
                                id,
                                Service.RunStatus.valueOf(ended.status().name()),
                                ended.time().toEpochMilli());
                        return null;
                    });
                }
            }
        }
        metrics(metrics);
    }

    /** Marks the run as ended if nobody has. */
    void endIfRunning(RunStatus status) throws IOException {
        if (connect()) {
            return;
        }
        String id = run.id();
        call(mlflow -> {
            if (mlflow.getRun(id).getInfo().getStatus() == Service.RunStatus.RUNNING) {
                mlflow.setTerminated(id, Service.RunStatus.valueOf(status.name()));
            }
            return null;
        });
    }

    /** Finds the run, or makes it; returns whether it was made now. */
    private boolean connect() throws IOException {
        if (connected) {
            return false;
        }
        String experiment = experiment();
        List<Service.Run> runs = call(mlflow -> mlflow.searchRuns(
                        List.of(experiment), "tags." + KEY + " = '" + run.key() + "'", Service.ViewType.ACTIVE_ONLY, 1)
                .getItems());
        boolean made = runs.isEmpty();
        if (made) {
            run = run.withId(
                    call(mlflow -> mlflow.createRun(creation(experiment))).getRunId());
        } else {
            run = run.withId(runs.getFirst().getInfo().getRunId());
            runs.getFirst()
                    .getData()
                    .getParamsList()
                    .forEach(parameter -> parameters.put(parameter.getKey(), parameter.getValue()));
        }
        resumed = !made;
        connected = true;
        found.run(run);
        return made;
    }

    private String experiment() throws IOException {
        Optional<Service.Experiment> there = call(mlflow -> mlflow.getExperimentByName(run.experiment()));
        return there.isPresent()
                ? there.get().getExperimentId()
                : call(mlflow -> mlflow.createExperiment(run.experiment()));
    }

    private Service.CreateRun creation(String experiment) {
        var creation = Service.CreateRun.newBuilder()
                .setExperimentId(experiment)
                .setStartTime(System.currentTimeMillis())
                .addTags(tag(KEY, run.key()))
                .addTags(tag("mlflow.user", System.getProperty("user.name")))
                .addTags(tag("mlflow.source.name", "lancetorch"))
                .addTags(tag("mlflow.source.type", "LOCAL"));
        if (run.name() != null) {
            creation.setRunName(run.name());
        }
        return creation.build();
    }

    private static Service.RunTag tag(String name, String value) {
        return Service.RunTag.newBuilder()
                .setKey(name)
                .setValue(cut(value, LONGEST_TAG))
                .build();
    }

    private static String cut(String value, int length) {
        return value.length() <= length ? value : value.substring(0, length - 1) + "…";
    }

    private void restart() throws IOException {
        if (resumed) {
            String id = run.id();
            call(mlflow -> mlflow.sendPost("runs/update", "{\"run_id\":\"" + id + "\",\"status\":\"RUNNING\"}"));
        }
        resumed = true;
    }

    /** A parameter never changes once it is there: what a resumed run was told otherwise becomes a tag. */
    private void parameters(Map<String, String> told) throws IOException {
        List<Service.Param> fresh = new ArrayList<>();
        Map<String, String> changed = new HashMap<>();
        told.forEach((name, whole) -> {
            String value = cut(whole, LONGEST_PARAMETER);
            String before = parameters.get(name);
            if (before == null) {
                fresh.add(
                        Service.Param.newBuilder().setKey(name).setValue(value).build());
            } else if (!before.equals(value)) {
                changed.put("resumed." + name, value);
            }
        });
        for (int from = 0; from < fresh.size(); from += MOST_PARAMETERS) {
            List<Service.Param> some = fresh.subList(from, Math.min(fresh.size(), from + MOST_PARAMETERS));
            log(List.of(), some, List.of());
            some.forEach(parameter -> parameters.put(parameter.getKey(), parameter.getValue()));
        }
        tags(changed);
    }

    private void tags(Map<String, String> tags) throws IOException {
        List<Service.RunTag> all = new ArrayList<>();
        tags.forEach((name, value) -> all.add(tag(name, value)));
        for (int from = 0; from < all.size(); from += MOST_PARAMETERS) {
            log(List.of(), List.of(), all.subList(from, Math.min(all.size(), from + MOST_PARAMETERS)));
        }
    }

    private void metrics(List<Service.Metric> metrics) throws IOException {
        for (int from = 0; from < metrics.size(); from += MOST_ENTRIES) {
            log(metrics.subList(from, Math.min(metrics.size(), from + MOST_ENTRIES)), List.of(), List.of());
        }
        metrics.clear();
    }

    /** One that the server refuses must not keep the others, nor what comes after, from it. */
    private void log(List<Service.Metric> metrics, List<Service.Param> parameters, List<Service.RunTag> tags)
            throws IOException {
        String id = run.id();
        int entries = metrics.size() + parameters.size() + tags.size();
        if (entries == 0) {
            return;
        }
        try {
            call(mlflow -> {
                mlflow.logBatch(id, metrics, parameters, tags);
                return null;
            });
        } catch (Refusal e) {
            if (e.status != BAD_REQUEST) {
                throw e;
            }
            if (entries == 1) {
                say.accept("MLflow at " + run.uri() + " refuses "
                        + (metrics.isEmpty()
                                ? parameters.isEmpty()
                                        ? "the tag " + tags.getFirst().getKey()
                                        : "the parameter "
                                                + parameters.getFirst().getKey()
                                : "the metric " + metrics.getFirst().getKey())
                        + ": " + e.getMessage());
                return;
            }
            for (Service.Metric metric : metrics) {
                log(List.of(metric), List.of(), List.of());
            }
            for (Service.Param parameter : parameters) {
                log(List.of(), List.of(parameter), List.of());
            }
            for (Service.RunTag tag : tags) {
                log(List.of(), List.of(), List.of(tag));
            }
        }
    }

    /** The client itself waits for an answer for ever: by a thread of its own, which ends when the client is closed. */
    private <T> T call(Function<MlflowClient, T> request) throws IOException {
        if (client == null) {
            client = newClient();
            requests = Executors.newSingleThreadExecutor(
                    Thread.ofPlatform().daemon().name("lancetorch-mlflow").factory());
        }
        MlflowClient mlflow = client;
        Future<T> answer = requests.submit(() -> request.apply(mlflow));
        try {
            return answer.get(REQUEST_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            close();
            throw new IOException("no answer within " + REQUEST_SECONDS + " s");
        } catch (ExecutionException e) {
            if (e.getCause() instanceof MlflowHttpException http) {
                throw new Refusal(http.getStatusCode(), cut(String.valueOf(http.getBodyMessage()), 300));
            }
            Throwable cause = e.getCause().getCause() == null
                    ? e.getCause()
                    : e.getCause().getCause();
            throw new IOException(cause.getMessage() == null ? cause.toString() : cause.getMessage(), cause);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    /** With what MLflow's own variables say of the user. */
    private MlflowClient newClient() {
        if (!run.uri().startsWith("http")) {
            return new MlflowClient(run.uri());
        }
        String user = System.getenv("MLFLOW_TRACKING_USERNAME");
        String password = System.getenv("MLFLOW_TRACKING_PASSWORD");
        String token = System.getenv("MLFLOW_TRACKING_TOKEN");
        boolean careless = "true".equals(System.getenv("MLFLOW_TRACKING_INSECURE_TLS"));
        return new MlflowClient(new BasicMlflowHostCreds(run.uri(), user, password, token, careless));
    }

    @Override
    public void close() {
        if (client != null) {
            client.close();
            requests.shutdownNow();
            client = null;
        }
    }
}
