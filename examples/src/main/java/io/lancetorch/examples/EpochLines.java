package io.lancetorch.examples;

import io.lancetorch.tracking.Tracker;
import io.lancetorch.tracking.TrackingEvent;

/** Hands on the figures of whole epochs alone. */
record EpochLines(Tracker tracker) implements Tracker {
    @Override
    public void track(TrackingEvent event) {
        if (event instanceof TrackingEvent.Metrics metrics && metrics.values().containsKey(EpochMetrics.EPOCH)) {
            tracker.track(event);
        }
    }

    @Override
    public void close() {
        tracker.close();
    }

    @Override
    public String toString() {
        return tracker.toString();
    }
}
