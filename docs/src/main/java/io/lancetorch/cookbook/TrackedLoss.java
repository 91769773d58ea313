package io.lancetorch.cookbook;

import io.lancetorch.tracking.JsonLinesTracker;
import io.lancetorch.tracking.RunStatus;
import io.lancetorch.tracking.TensorBoardTracker;
import io.lancetorch.tracking.TrackerGroup;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Figures of a run, where others look at them. */
final class TrackedLoss {
    private TrackedLoss() {}

    // START SNIPPET: track
    /** TensorBoard's event files and a file of JSON lines; MlflowTracker.to(uri) opens one more. */
    static void track(Path folder, double[] losses) {
        try (var trackers = new TrackerGroup(
                List.of(
                        new TensorBoardTracker(folder.resolve("tensorboard")),
                        new JsonLinesTracker(folder.resolve("metrics.jsonl"), false)),
                System.err::println)) { // a tracker that fails says so here, and the run goes on
            trackers.parameters(Map.of("lr", "0.1"));
            for (int step = 0; step < losses.length; step++) {
                trackers.metrics(step, Map.of("loss", losses[step]));
            }
            trackers.end(RunStatus.FINISHED);
        }
    }
    // END SNIPPET: track
}
