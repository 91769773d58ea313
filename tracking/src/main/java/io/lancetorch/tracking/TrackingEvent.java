package io.lancetorch.tracking;

import java.nio.file.Path;
import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Something that a run tells its trackers. */
public sealed interface TrackingEvent {
    /** When it was. */
    Instant time();

    /**
     * The run begins, or goes on from a checkpoint.
     *
     * @param step how many steps the run has made; figures of later ones, from before it was stopped, no longer count
     */
    record Started(Instant time, long step) implements TrackingEvent {
        public Started {
            Objects.requireNonNull(time);
        }
    }

    /** What the run was told to do, each in words, such as {@code lr} and {@code 0.1}; said once, at its start. */
    record Parameters(Instant time, Map<String, String> values) implements TrackingEvent {
        public Parameters {
            Objects.requireNonNull(time);
            values = copy(values);
        }
    }

    /** What else there is to say about the run, such as where its checkpoint is; a later value replaces an earlier one. */
    record Tags(Instant time, Map<String, String> values) implements TrackingEvent {
        public Tags {
            Objects.requireNonNull(time);
            values = copy(values);
        }
    }

    /**
     * Figures of a step.
     *
     * @param step how many steps the run had made
     * @param values by name: letters, digits, {@code _ - . /} and spaces, which is what MLflow takes; NaN and infinities are
     *     figures too. The names {@code time, step, started, parameters, tags, image} and {@code ended} are taken.
     */
    record Metrics(Instant time, long step, Map<String, Double> values) implements TrackingEvent {
        public Metrics {
            Objects.requireNonNull(time);
            values = copy(values);
            for (String taken : JsonLine.KEYS) {
                if (values.containsKey(taken)) {
                    throw new IllegalArgumentException("no metric can have the name " + taken);
                }
            }
        }
    }

    /**
     * A picture.
     *
     * @param name under which a viewer shows it, such as {@code samples/0}
     * @param file a PNG
     * @param about what is to be said of it, such as its label and the model's prediction
     */
    record Image(Instant time, long step, String name, Path file, Map<String, String> about) implements TrackingEvent {
        public Image {
            Objects.requireNonNull(time);
            Objects.requireNonNull(name);
            Objects.requireNonNull(file);
            about = copy(about);
        }
    }

    /** The run is over, or this attempt of it. */
    record Ended(Instant time, RunStatus status) implements TrackingEvent {
        public Ended {
            Objects.requireNonNull(time);
            Objects.requireNonNull(status);
        }
    }

    private static <V> Map<String, V> copy(Map<String, V> values) {
        var copy = new LinkedHashMap<String, V>();
        values.forEach((name, value) -> copy.put(Objects.requireNonNull(name), Objects.requireNonNull(value, name)));
        return Collections.unmodifiableMap(copy);
    }
}
