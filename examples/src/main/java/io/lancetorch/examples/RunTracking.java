package io.lancetorch.examples;

import io.lancetorch.data.DataLoader;
import io.lancetorch.tracking.RunStatus;
import io.lancetorch.tracking.SystemMetrics;
import io.lancetorch.tracking.Tracker;
import io.lancetorch.tracking.TrackerGroup;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Tells trackers of one rank's run: the means of every so many of its own steps; and, by rank 0, of whole epochs, of the machine,
 * and of how the run ends, also where a signal ends it.
 */
final class RunTracking implements AutoCloseable {
    private static final Duration SYSTEM_INTERVAL = Duration.ofSeconds(5);

    private final int rank;
    private final int every;
    private final Tracker trackers;
    private final DataLoader training;
    private final Thread hook = new Thread(this::killed, "lancetorch-tracking-end");
    private SystemMetrics system;
    private boolean started;
    private boolean ended;
    private volatile long step;
    // Since the figures told last.
    private double lossSum;
    private long rows;
    private int steps;
    private long since;
    private long waitedBefore;

    RunTracking(TrackingOptions options, List<Tracker> trackers, int rank, DataLoader training) {
        this.rank = rank;
        this.every = options.every;
        this.trackers = new TrackerGroup(trackers, RunTracking::say);
        this.training = training;
    }

    static void say(String message) {
        System.err.println("lancetorch: " + message);
    }

    /** {@code made}: how many steps the run has made. */
    synchronized void start(long made, Map<String, String> parameters) {
        step = made;
        started = true;
        trackers.start(made);
        if (rank == 0) {
            trackers.parameters(parameters);
            system = SystemMetrics.every(SYSTEM_INTERVAL, trackers, () -> step);
        }
        Runtime.getRuntime().addShutdownHook(hook);
    }

    void beginEpoch() {
        lossSum = 0;
        rows = 0;
        steps = 0;
        since = System.nanoTime();
        waitedBefore = training.stats().waitNanos();
    }

    /** {@code made}: how many steps the run has made. {@code loss}: the mean over {@code valid} images of this rank. */
    void afterStep(long made, double loss, int valid, double learningRate) {
        step = made;
        lossSum += loss * valid;
        rows += valid;
        steps++;
        if (made % every == 0) {
            tellSteps(learningRate);
        }
    }

    private void tellSteps(double learningRate) {
        double seconds = (System.nanoTime() - since) / 1e9;
        double waited = (training.stats().waitNanos() - waitedBefore) / 1e9;
        Map<String, Double> values = new LinkedHashMap<>();
        if (rows > 0) {
            values.put("step/loss", lossSum / rows);
        }
        values.put("step/learning_rate", learningRate);
        values.put("step/images_per_second", rows / seconds);
        values.put("step/data_wait_fraction", Math.min(1, waited / seconds));
        tell(values);
        beginEpoch();
    }

    /** Nothing comes after the end, which a signal may bring while steps are made. */
    private synchronized void tell(Map<String, Double> values) {
        if (!ended) {
            trackers.metrics(step, values);
        }
    }

    /** What is left of the epoch's steps. */
    void endSteps(double learningRate) {
        if (steps > 0) {
            tellSteps(learningRate);
        }
    }

    void afterEpoch(EpochMetrics metrics) {
        if (rank == 0) {
            tell(metrics.values());
        }
    }

    synchronized void saved(String what, Path file) {
        if (rank == 0 && !ended) {
            trackers.tags(Map.of(what, file.toAbsolutePath().toString()));
        }
    }

    synchronized void image(String name, Path png, Map<String, String> about) {
        if (!ended) {
            trackers.image(step, name, png, about);
        }
    }

    /** The first to say how the run ended is right. */
    synchronized void end(RunStatus status) {
        if (started && !ended) {
            ended = true;
            if (system != null) {
                system.close();
            }
            trackers.end(status);
        }
    }

    private void killed() {
        end(RunStatus.KILLED);
        trackers.close();
    }

    @Override
    public void close() {
        end(RunStatus.FAILED);
        trackers.close();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The JVM is ending, and the hook runs already.
        }
    }
}
