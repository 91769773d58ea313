package io.lancetorch.tracking;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** Several trackers as one, none of which fails the run: what fails is said once for each, and the run goes on without it. */
public final class TrackerGroup implements Tracker {
    private final List<Tracker> trackers;
    private final Consumer<String> say;
    private final Set<Tracker> failed = new HashSet<>();

    /**
     * {@code trackers}: closed with this one. {@code say}: told in a line when one fails for the first time.
     */
    public TrackerGroup(List<? extends Tracker> trackers, Consumer<String> say) {
        this.trackers = List.copyOf(trackers);
        this.say = say;
    }

    @Override
    public void track(TrackingEvent event) {
        trackers.forEach(tracker -> guard(tracker, () -> tracker.track(event)));
    }

    private void guard(Tracker tracker, Runnable action) {
        try {
            action.run();
        } catch (RuntimeException e) {
            boolean first;
            synchronized (failed) {
                first = failed.add(tracker);
            }
            if (first) {
                say.accept("the run goes on without what it cannot track: " + tracker + ": " + e.getMessage());
            }
        }
    }

    @Override
    public void close() {
        trackers.forEach(tracker -> guard(tracker, tracker::close));
    }

    @Override
    public String toString() {
        return trackers.toString();
    }
}
