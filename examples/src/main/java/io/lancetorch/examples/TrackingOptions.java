package io.lancetorch.examples;

import io.lancetorch.tracking.JsonLinesTracker;
import io.lancetorch.tracking.MlflowTracker;
import io.lancetorch.tracking.TensorBoardTracker;
import io.lancetorch.tracking.Tracker;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** Where a run tells of itself. */
final class TrackingOptions {
    private static final String MLFLOW = "mlflow";
    private static final String TENSORBOARD = "tensorboard";
    private static final String JSONL = "jsonl";
    private static final String RUN_FILE = "metrics.jsonl";

    @Option(
            names = "--track",
            paramLabel = "WHERE",
            description = "Tell parameters, losses, throughput, waiting and the machine's load to mlflow:URI (such as"
                    + " mlflow:http://127.0.0.1:5000), tensorboard:DIR or jsonl:FILE; can be given several times.")
    List<String> trackers = List.of();

    @Option(
            names = "--track-every",
            paramLabel = "STEPS",
            defaultValue = "10",
            description = "Tell of the mean of so many steps (default: ${DEFAULT-VALUE}).")
    int every;

    @Option(
            names = "--run-dir",
            paramLabel = "DIR",
            description =
                    "Keep there what a report of the run needs: metrics.jsonl, what each rank did, and held-out images"
                            + " with the model's predictions. See report.")
    Path folder;

    @Option(names = "--run-name", paramLabel = "NAME", description = "The run's name, in MLflow and in reports.")
    String name;

    @Option(
            names = "--experiment",
            paramLabel = "NAME",
            defaultValue = "lancetorch",
            description = "MLflow's experiment; made where it is missing (default: ${DEFAULT-VALUE}).")
    String experiment;

    @Option(
            names = "--metrics",
            paramLabel = "FILE",
            description = "Write a line of JSON for each epoch here, such as --track jsonl:FILE writes among others.")
    Path metrics;

    /** The scheme and what comes after it. */
    private record Place(String scheme, String rest) {
        static Place parse(String text) {
            int colon = text.indexOf(':');
            return new Place(text.substring(0, Math.max(0, colon)), text.substring(colon + 1));
        }
    }

    /** Finds what is wrong with them before anything starts. */
    void check(CommandSpec spec) {
        if (every < 1) {
            throw new CommandLine.ParameterException(spec.commandLine(), "--track-every must be 1 or more");
        }
        for (String text : trackers) {
            String wrong = wrong(Place.parse(text));
            if (wrong != null) {
                throw new UserException("--track " + text + ": " + wrong);
            }
        }
        if (folder != null && Files.exists(folder) && !Files.isDirectory(folder)) {
            throw new UserException("--run-dir: " + folder + " is no folder");
        }
        requireParent(metrics);
    }

    /** What is wrong with a place; null where nothing is. */
    private static String wrong(Place place) {
        if (place.rest.isEmpty()) {
            return "say where: mlflow:URI, tensorboard:DIR or jsonl:FILE";
        }
        switch (place.scheme) {
            case MLFLOW -> {
                try {
                    MlflowTracker.to(place.rest);
                } catch (IllegalArgumentException e) {
                    return e.getMessage();
                }
            }
            case TENSORBOARD -> {
                if (Files.exists(Path.of(place.rest)) && !Files.isDirectory(Path.of(place.rest))) {
                    return place.rest + " is no folder";
                }
            }
            case JSONL -> requireParent(Path.of(place.rest));
            default -> {
                return "a place is mlflow:URI, tensorboard:DIR or jsonl:FILE";
            }
        }
        return null;
    }

    static void requireParent(Path output) {
        if (output != null && !Files.isDirectory(output.toAbsolutePath().getParent())) {
            throw new UserException("no folder " + output.toAbsolutePath().getParent() + " to write " + output + " to");
        }
    }

    /** A folder tells of one run. */
    void requireFresh(boolean resumes) {
        if (folder != null && !resumes && Files.exists(folder.resolve(RUN_FILE))) {
            throw new UserException(
                    "--run-dir: " + folder + " has another run; --resume goes on with it, or name another folder");
        }
    }

    /** Where MLflow's run is remembered, such that a run that goes on is the same one there; null: nowhere. */
    private Path memory(Path checkpoints) {
        return checkpoints == null ? folder : checkpoints;
    }

    /**
     * What rank {@code rank} tells: rank 0 of the run; the others of themselves, where there is a folder for it.
     *
     * @param checkpoints null where there are none
     */
    List<Tracker> open(int rank, Path checkpoints, boolean resumes, Consumer<String> say) {
        List<Tracker> opened = new ArrayList<>();
        try {
            if (folder != null) {
                Files.createDirectories(folder);
                opened.add(new JsonLinesTracker(
                        folder.resolve(rank == 0 ? RUN_FILE : "rank-" + rank + ".jsonl"), resumes));
            }
            if (rank != 0) {
                return opened;
            }
            if (metrics != null) {
                opened.add(new EpochLines(new JsonLinesTracker(metrics, resumes)));
            }
            for (String text : trackers) {
                Place place = Place.parse(text);
                opened.add(
                        switch (place.scheme) {
                            case MLFLOW ->
                                MlflowTracker.to(place.rest)
                                        .experiment(experiment)
                                        .runName(name)
                                        .folder(memory(checkpoints))
                                        .resume(resumes)
                                        .say(say)
                                        .open();
                            case TENSORBOARD -> new TensorBoardTracker(Path.of(place.rest));
                            default -> new JsonLinesTracker(Path.of(place.rest), resumes);
                        });
            }
            return opened;
        } catch (java.io.IOException | UncheckedIOException e) {
            opened.forEach(Tracker::close);
            throw new UserException("cannot track the run: " + e.getMessage());
        }
    }

    /** Whether there is an MLflow run that somebody can mark as ended. */
    Path abandoned(Path checkpoints) {
        boolean told =
                trackers.stream().anyMatch(text -> Place.parse(text).scheme.equals(MLFLOW));
        return told ? memory(checkpoints) : null;
    }
}
