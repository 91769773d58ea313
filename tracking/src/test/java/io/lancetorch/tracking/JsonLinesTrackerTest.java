package io.lancetorch.tracking;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.tracking.TrackingEvent.Ended;
import io.lancetorch.tracking.TrackingEvent.Image;
import io.lancetorch.tracking.TrackingEvent.Metrics;
import io.lancetorch.tracking.TrackingEvent.Parameters;
import io.lancetorch.tracking.TrackingEvent.Started;
import io.lancetorch.tracking.TrackingEvent.Tags;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JsonLinesTrackerTest {
    private static final Instant NOW = Instant.parse("2026-11-24T01:02:03.004Z");

    @TempDir
    private Path folder;

    @Test
    void eachEventIsReadAsItWasWritten() throws Exception {
        List<TrackingEvent> events = List.of(
                new Started(NOW, 7),
                new Parameters(NOW, Map.of("lr", "0.1", "odd \"name\"", "ein ä\n<b>")),
                new Tags(NOW, Map.of("checkpoint", "/tmp/x.pt")),
                new Metrics(NOW, 8, Map.of("loss", 0.1, "images_seen", 1e15, "bad", Double.NaN, "worse", -1 / 0.0)),
                new Image(NOW, 9, "samples/0", folder.resolve("samples/0.png"), Map.of("label", "disc")),
                new Ended(NOW, RunStatus.KILLED));
        Path file = folder.resolve("all.jsonl");
        try (var tracker = new JsonLinesTracker(file, false)) {
            events.forEach(tracker::track);
        }
        assertThat(JsonLinesTracker.read(file)).isEqualTo(events);
        assertThat(Files.readString(file)).contains("\"images_seen\":1000000000000000", "\"samples/0.png\"");
    }

    @Test
    void lineThatAKilledProcessHasLeftUnfinishedCostsNoOther() throws Exception {
        Path file = folder.resolve("torn.jsonl");
        try (var tracker = new JsonLinesTracker(file, false)) {
            tracker.metrics(1, Map.of("loss", 0.5));
        }
        Files.write(file, new byte[] {'{', '"', 't', (byte) 0xc3}, StandardOpenOption.APPEND);
        try (var tracker = new JsonLinesTracker(file, true)) {
            tracker.metrics(2, Map.of("loss", 0.25));
        }
        assertThat(JsonLinesTracker.read(file))
                .extracting(event -> ((Metrics) event).step())
                .containsExactly(1L, 2L);
    }

    @Test
    void fullDiskIsSaidOnceAndTheRunGoesOn() {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "skipped: no /dev/full, which takes nothing");
        List<String> said = new ArrayList<>();
        Path whole = folder.resolve("whole.jsonl");
        try (var trackers = new TrackerGroup(
                List.of(new JsonLinesTracker(full, true), new JsonLinesTracker(whole, false)), said::add)) {
            trackers.metrics(1, Map.of("loss", 0.5));
            trackers.metrics(2, Map.of("loss", 0.25));
        }
        assertThat(said).singleElement().asString().contains("the run goes on", "/dev/full", "No space left");
        assertThat(whole).content().hasLineCount(2);
    }

    @Test
    void metricsCannotTakeTheNamesOfOtherThings() {
        assertThatThrownBy(() -> new Metrics(NOW, 1, Map.of("step", 1.0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("step");
    }
}
