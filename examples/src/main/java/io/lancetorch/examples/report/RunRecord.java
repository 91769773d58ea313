package io.lancetorch.examples.report;

import io.lancetorch.tracking.JsonLinesTracker;
import io.lancetorch.tracking.TrackingEvent;
import io.lancetorch.tracking.TrackingEvent.Ended;
import io.lancetorch.tracking.TrackingEvent.Image;
import io.lancetorch.tracking.TrackingEvent.Metrics;
import io.lancetorch.tracking.TrackingEvent.Parameters;
import io.lancetorch.tracking.TrackingEvent.Started;
import io.lancetorch.tracking.TrackingEvent.Tags;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a run has told, from its folder or from a file of JSON lines: of each step what was told last, and nothing of steps that a
 * run which was resumed has made anew.
 */
public final class RunRecord {
    private static final String RUN_FILE = "metrics.jsonl";
    private static final int MOST_RANKS = 64;

    /** A figure, and when it was told, since the run began. */
    record Point(Duration time, double value) {}

    private final Path source;
    private final Map<String, String> parameters = new LinkedHashMap<>();
    private final Map<String, String> tags = new LinkedHashMap<>();
    private final List<NavigableMap<Long, Metrics>> ranks = new ArrayList<>();
    private final List<Image> images = new ArrayList<>();
    private Instant begin;
    private Instant last;
    private String status;

    private RunRecord(Path source) {
        this.source = source;
    }

    /**
     * Reads a folder that {@code train --run-dir} has written, or a file that {@code --track jsonl:FILE} or {@code --metrics}
     * has.
     *
     * @throws IOException if there is none, or it tells of no run
     */
    public static RunRecord read(Path source) throws IOException {
        var run = new RunRecord(source);
        if (!Files.exists(source)) {
            throw new IOException("no run at " + source);
        }
        Path file = Files.isDirectory(source) ? source.resolve(RUN_FILE) : source;
        if (!Files.isRegularFile(file)) {
            throw new IOException(source + " has no " + RUN_FILE + ": name a folder that train --run-dir has written");
        }
        run.readRank(file, true);
        if (run.ranks.getFirst().isEmpty()) {
            throw new IOException(
                    file + " tells of no run: train --run-dir, --track jsonl:FILE and --metrics write what does");
        }
        if (file != source) {
            for (int rank = 1; rank < MOST_RANKS; rank++) {
                Path other = source.resolve("rank-" + rank + ".jsonl");
                if (!Files.exists(other)) {
                    break;
                }
                run.readRank(other, false);
            }
        }
        return run;
    }

    private void readRank(Path file, boolean leader) throws IOException {
        // Several lines can tell of the same step: those that have the same names replace one another.
        NavigableMap<Long, Metrics> steps = new TreeMap<>();
        for (TrackingEvent event : JsonLinesTracker.read(file)) {
            if (leader) {
                begin = begin == null ? event.time() : begin;
                last = event.time();
                status = event instanceof Ended ended ? ended.status().name().toLowerCase(java.util.Locale.ROOT) : null;
            }
            switch (event) {
                case Started started -> {
                    steps.tailMap(started.step(), false).clear();
                    if (leader) {
                        images.removeIf(image -> image.step() > started.step());
                    }
                }
                case Parameters told -> parameters.putAll(told.values());
                case Tags told -> tags.putAll(told.values());
                case Metrics metrics -> steps.merge(metrics.step(), metrics, RunRecord::merge);
                case Image image -> {
                    images.removeIf(other -> other.step() < image.step());
                    images.add(image);
                }
                case Ended _ -> {
                    // Said above, where nothing comes after it.
                }
            }
        }
        ranks.add(steps);
    }

    private static Metrics merge(Metrics before, Metrics after) {
        Map<String, Double> values = new LinkedHashMap<>(before.values());
        values.putAll(after.values());
        return new Metrics(after.time(), after.step(), values);
    }

    /** What it is called: its own name, or else its folder's. */
    public String name() {
        Path file = source.toAbsolutePath().normalize().getFileName();
        return parameters.getOrDefault("run_name", file == null ? source.toString() : file.toString());
    }

    Path source() {
        return source;
    }

    Map<String, String> parameters() {
        return Collections.unmodifiableMap(parameters);
    }

    Map<String, String> tags() {
        return Collections.unmodifiableMap(tags);
    }

    /** Pictures of the latest step that has some. */
    List<Image> images() {
        return Collections.unmodifiableList(images);
    }

    Instant begin() {
        return begin;
    }

    Duration duration() {
        return Duration.between(begin, last);
    }

    /** How it ended, in a word. */
    String status() {
        return status == null ? "running, or killed" : status;
    }

    /** How many ranks have told of themselves. */
    int ranks() {
        return ranks.size();
    }

    /** How many steps it has made, as far as it told. */
    long steps() {
        return ranks.getFirst().lastKey();
    }

    /** A rank's figures of that name, by step. */
    SortedMap<Long, Point> points(int rank, String metric) {
        SortedMap<Long, Point> points = new TreeMap<>();
        ranks.get(rank).forEach((step, metrics) -> {
            Double value = metrics.values().get(metric);
            if (value != null && Double.isFinite(value)) {
                points.put(step, new Point(Duration.between(begin, metrics.time()), value));
            }
        });
        return points;
    }

    /** The run's figures of that name. */
    SortedMap<Long, Point> points(String metric) {
        return points(0, metric);
    }
}
