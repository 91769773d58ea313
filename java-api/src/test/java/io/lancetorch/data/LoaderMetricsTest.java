package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.lance.ImageTransform;
import io.lancetorch.testing.TestImages;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class LoaderMetricsTest {
    @TempDir
    private Path folder;

    @Test
    void statsCountRowsBytesAndTimes() throws InterruptedException {
        try (var dataset = TestImages.grays(folder.resolve("data.lance"), 100, 40, Set.of());
                var loader = DataLoader.of(dataset)
                        .image("image", ImageTransform.resize(8, 8))
                        .batchSize(10)
                        .prefetch(3)
                        .open()) {
            assertThat(loader.stats().rowsPerSecond()).isZero();
            var batches = loader.iterator();
            batches.next();
            while (loader.stats().queueDepth() < 3) {
                Thread.sleep(1);
            }
            while (batches.hasNext()) {
                batches.next();
            }
            LoaderStats stats = loader.stats();
            assertThat(stats.batches()).isEqualTo(10);
            assertThat(stats.rows()).isEqualTo(100);
            assertThat(stats.bytes()).isEqualTo(100 * (8 + 4 * 192));
            assertThat(stats.decodeNanos()).isPositive();
            assertThat(stats.waitNanos()).isBetween(1L, stats.elapsedNanos());
            assertThat(stats.waitShare()).isBetween(0.0, 1.0);
            assertThat(stats.rowsPerSecond()).isEqualTo(100 / (stats.elapsedNanos() / 1e9));
            assertThat(stats.bytesPerSecond()).isPositive();
            assertThat(stats.queueDepth()).isZero();
            assertThat(stats.badRows()).isZero();
        }
    }

    @Test
    void flightRecorderHasAnEventForEachBatch() throws IOException {
        Path file = folder.resolve("batches.jfr");
        try (var recording = new Recording();
                var dataset = TestImages.grays(folder.resolve("data.lance"), 50, 40, Set.of())) {
            recording.enable("io.lancetorch.Batch").withoutThreshold();
            recording.start();
            try (var loader = DataLoader.of(dataset)
                    .image("image", ImageTransform.resize(8, 8))
                    .batchSize(20)
                    .rank(1, 2)
                    .open()) {
                loader.setEpoch(4);
                loader.forEach(_ -> {});
            }
            recording.stop();
            recording.dump(file);
        }
        List<RecordedEvent> events = RecordingFile.readAllEvents(file);
        assertThat(events).hasSize(2);
        for (int step = 0; step < 2; step++) {
            RecordedEvent event = events.get(step);
            assertThat(event.getInt("rank")).isEqualTo(1);
            assertThat(event.getLong("epoch")).isEqualTo(4);
            assertThat(event.getInt("step")).isEqualTo(step);
            assertThat(event.getLong("bytes")).isEqualTo(event.getInt("rows") * (8L + 4 * 192));
            assertThat(event.getDuration("decodeTime")).isPositive();
        }
    }
}
