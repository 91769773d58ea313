package io.lancetorch.tracking;

import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;

/** Takes what a run tells. Any thread may call it. */
public interface Tracker extends AutoCloseable {
    /**
     * Takes an event, in time that does not depend on any server.
     *
     * @throws UncheckedIOException if a file cannot be written; the next event may be taken again
     */
    void track(TrackingEvent event);

    /** The run begins, or goes on from a checkpoint, after so many steps. */
    default void start(long step) {
        track(new TrackingEvent.Started(Instant.now(), step));
    }

    default void parameters(Map<String, String> values) {
        track(new TrackingEvent.Parameters(Instant.now(), values));
    }

    default void tags(Map<String, String> values) {
        track(new TrackingEvent.Tags(Instant.now(), values));
    }

    default void metrics(long step, Map<String, Double> values) {
        track(new TrackingEvent.Metrics(Instant.now(), step, values));
    }

    /** A picture: {@code file} is a PNG, which stays as it is. */
    default void image(long step, String name, Path file, Map<String, String> about) {
        track(new TrackingEvent.Image(Instant.now(), step, name, file, about));
    }

    default void end(RunStatus status) {
        track(new TrackingEvent.Ended(Instant.now(), status));
    }

    /** Hands on what it still has, within a bounded time, and frees what it holds. Idempotent. */
    @Override
    void close();
}
