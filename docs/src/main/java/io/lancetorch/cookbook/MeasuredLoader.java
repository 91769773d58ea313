package io.lancetorch.cookbook;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.LoaderStats;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordingFile;

/** What a loader does, in figures. */
final class MeasuredLoader {
    private MeasuredLoader() {}

    // START SNIPPET: measure
    /** Reads an epoch, and returns the longest wait for a batch. */
    static Duration longestWait(DataLoader loader, Path file) throws IOException {
        try (var recording = new Recording()) { // or java -XX:StartFlightRecording=filename=run.jfr
            recording.enable("io.lancetorch.Batch").withoutThreshold();
            recording.start();
            for (Batch batch : loader) {
                batch.get("label");
            }
            recording.stop();
            recording.dump(file);
        }
        LoaderStats stats = loader.stats();
        System.out.printf(
                "%,.0f rows/s, %,.1f MB/s, waited %.1f %%, decoded for %.2f s, %d batches ready%n",
                stats.rowsPerSecond(),
                stats.bytesPerSecond() / 1e6,
                100 * stats.waitShare(),
                stats.decodeNanos() / 1e9,
                stats.queueDepth());
        return RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().equals("io.lancetorch.Batch"))
                .map(event -> event.getDuration())
                .max(Duration::compareTo)
                .orElse(Duration.ZERO);
    }
    // END SNIPPET: measure
}
