package io.lancetorch.tracking;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.tracking.testing.TestServer;
import io.lancetorch.tracking.testing.TrackingPrograms;
import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What TensorBoard itself reads of the event files. */
class TensorBoardTrackerTest {
    @TempDir
    private Path folder;

    private static JsonNode read(Path run) throws Exception {
        return new ObjectMapper().readTree(TrackingPrograms.readEvents(run));
    }

    private static List<Long> steps(JsonNode points) {
        List<Long> steps = new ArrayList<>();
        points.forEach(point -> steps.add(point.get(0).asLong()));
        return steps;
    }

    @Test
    void scalarsTextsAndImagesAreReadAsTheyWereTracked() throws Exception {
        Path run = folder.resolve("runs/1");
        Path png = folder.resolve("0.png");
        ImageIO.write(new BufferedImage(6, 4, BufferedImage.TYPE_INT_RGB), "png", png.toFile());
        try (var tracker = new TensorBoardTracker(run)) {
            tracker.start(0);
            tracker.parameters(Map.of("model", "resnet18 | \"wide\""));
            for (int step = 1; step <= 300; step++) {
                tracker.metrics(step, Map.of("loss", 1.0 / step, "system/process_rss_megabytes", 1e6 + step));
            }
            tracker.image(300, "samples/0", png, Map.of("label", "disc", "prediction", "star"));
            tracker.end(RunStatus.FINISHED);
        }
        JsonNode events = read(run);
        JsonNode loss = events.get("scalars").get("loss");
        assertThat(loss).hasSize(300);
        for (int step = 1; step <= 300; step++) {
            assertThat(loss.get(step - 1).get(0).asInt()).isEqualTo(step);
            assertThat(loss.get(step - 1).get(1).floatValue()).isEqualTo((float) (1.0 / step));
        }
        assertThat(loss.get(0).get(2).asDouble() * 1000)
                .isBetween(System.currentTimeMillis() - 600_000.0, System.currentTimeMillis() + 1.0);
        assertThat(events.get("scalars").get("system/process_rss_megabytes")).hasSize(300);
        assertThat(events.get("texts")
                        .get("parameters/text_summary")
                        .get(0)
                        .get(1)
                        .asText())
                .contains("| model | resnet18 \\| \"wide\" |");
        assertThat(events.get("texts").get("status/text_summary").get(0).get(1).asText())
                .isEqualTo("FINISHED");
        assertThat(events.get("images").get("samples/0").toString()).isEqualTo("[[300,6,4]]");

        try (var server = TestServer.tensorBoard(folder.resolve("runs"), folder.resolve("tensorboard.log"))) {
            JsonNode shown = new ObjectMapper().readTree("[]");
            for (int attempt = 0; attempt < 100 && shown.isEmpty(); attempt++) {
                Thread.sleep(300);
                JsonNode tags = new ObjectMapper().readTree(server.get("/data/plugin/scalars/tags"));
                if (tags.path("1").has("loss")) {
                    shown = new ObjectMapper().readTree(server.get("/data/plugin/scalars/scalars?run=1&tag=loss"));
                }
            }
            assertThat(shown).hasSize(300);
            assertThat(shown.get(299).get(1).asInt()).isEqualTo(300);
        }
    }

    @Test
    void runThatGoesOnFromACheckpointReplacesItsLaterSteps() throws Exception {
        Path run = folder.resolve("resumed");
        try (var tracker = new TensorBoardTracker(run)) {
            tracker.start(0);
            for (int step = 1; step <= 10; step++) {
                tracker.metrics(step, Map.of("loss", 1.0));
            }
        }
        // What a process leaves that is killed while it writes.
        try (Stream<Path> files = Files.list(run)) {
            Files.write(files.findFirst().orElseThrow(), new byte[] {40, 0, 0, 0, 0, 0}, StandardOpenOption.APPEND);
        }
        try (var tracker = new TensorBoardTracker(run)) {
            tracker.start(5);
            for (int step = 6; step <= 12; step++) {
                tracker.metrics(step, Map.of("loss", 2.0));
            }
        }
        JsonNode loss = read(run).get("scalars").get("loss");
        assertThat(steps(loss)).containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L, 11L, 12L);
        assertThat(loss.get(4).get(1).asDouble()).isEqualTo(1.0);
        assertThat(loss.get(5).get(1).asDouble()).isEqualTo(2.0);
    }
}
