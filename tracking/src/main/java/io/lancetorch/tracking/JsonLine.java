package io.lancetorch.tracking;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.lancetorch.tracking.TrackingEvent.Ended;
import io.lancetorch.tracking.TrackingEvent.Image;
import io.lancetorch.tracking.TrackingEvent.Metrics;
import io.lancetorch.tracking.TrackingEvent.Parameters;
import io.lancetorch.tracking.TrackingEvent.Started;
import io.lancetorch.tracking.TrackingEvent.Tags;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** An event as a line of JSON, and back. Metrics are flat, such that tables are read from such files without ado. */
final class JsonLine {
    private static final String TIME = "time";
    private static final String STEP = "step";
    private static final String STARTED = "started";
    private static final String PARAMETERS = "parameters";
    private static final String TAGS = "tags";
    private static final String IMAGE = "image";
    private static final String ENDED = "ended";

    /** What no metric can be named. */
    static final List<String> KEYS = List.of(TIME, STEP, STARTED, PARAMETERS, TAGS, IMAGE, ENDED);

    private static final String NAME = "name";
    private static final String FILE = "file";
    private static final String ABOUT = "about";
    private static final double LARGEST_WHOLE = 1L << 53;

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private JsonLine() {}

    /** {@code folder}: files below it are named from there. */
    static String of(TrackingEvent event, Path folder) {
        ObjectNode line = MAPPER.createObjectNode();
        line.put(TIME, event.time().toString());
        switch (event) {
            case Started started -> line.put(STARTED, started.step());
            case Parameters parameters -> put(line.putObject(PARAMETERS), parameters.values());
            case Tags tags -> put(line.putObject(TAGS), tags.values());
            case Metrics metrics -> {
                line.put(STEP, metrics.step());
                metrics.values().forEach((name, value) -> put(line, name, value));
            }
            case Image image -> {
                line.put(STEP, image.step());
                ObjectNode node = line.putObject(IMAGE);
                node.put(NAME, image.name());
                Path file = image.file().toAbsolutePath().normalize();
                Path from = folder.toAbsolutePath().normalize();
                node.put(FILE, (file.startsWith(from) ? from.relativize(file) : file).toString());
                put(node.putObject(ABOUT), image.about());
            }
            case Ended ended -> line.put(ENDED, ended.status().name());
        }
        try {
            return MAPPER.writeValueAsString(line);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void put(ObjectNode node, Map<String, String> values) {
        values.forEach(node::put);
    }

    /** Counts look like counts. */
    private static void put(ObjectNode node, String name, double value) {
        if (value == Math.rint(value) && Math.abs(value) <= LARGEST_WHOLE) {
            node.put(name, (long) value);
        } else {
            node.put(name, value);
        }
    }

    /** The event of a line; null where it is none, such as the last one of a process that was killed in its midst. */
    static TrackingEvent parse(String text, Path folder) {
        try {
            JsonNode line = MAPPER.readTree(text);
            if (!line.path(TIME).isTextual()) {
                return null;
            }
            Instant time = Instant.parse(line.get(TIME).asText());
            if (line.has(STARTED)) {
                return new Started(time, line.get(STARTED).asLong());
            } else if (line.has(PARAMETERS)) {
                return new Parameters(time, strings(line.get(PARAMETERS)));
            } else if (line.has(TAGS)) {
                return new Tags(time, strings(line.get(TAGS)));
            } else if (line.has(ENDED)) {
                return new Ended(time, RunStatus.valueOf(line.get(ENDED).asText()));
            } else if (line.has(IMAGE)) {
                JsonNode image = line.get(IMAGE);
                return new Image(
                        time,
                        line.path(STEP).asLong(),
                        image.path(NAME).asText(),
                        folder.resolve(image.path(FILE).asText()),
                        strings(image.path(ABOUT)));
            }
            return new Metrics(time, line.path(STEP).asLong(), figures(line));
        } catch (JsonProcessingException | DateTimeParseException | IllegalArgumentException e) {
            return null;
        }
    }

    private static Map<String, String> strings(JsonNode node) {
        Map<String, String> values = new LinkedHashMap<>();
        node.properties()
                .forEach(entry -> values.put(entry.getKey(), entry.getValue().asText()));
        return values;
    }

    private static Map<String, Double> figures(JsonNode line) {
        Map<String, Double> values = new LinkedHashMap<>();
        line.properties().forEach(entry -> {
            JsonNode value = entry.getValue();
            if (value.isNumber()) {
                values.put(entry.getKey(), value.asDouble());
            } else if (value.isTextual()
                    && List.of("NaN", "Infinity", "-Infinity").contains(value.asText())) {
                values.put(entry.getKey(), Double.valueOf(value.asText()));
            }
        });
        values.remove(STEP);
        return values;
    }
}
