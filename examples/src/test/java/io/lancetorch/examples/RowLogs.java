package io.lancetorch.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/** What {@code train --log-rows} wrote. */
final class RowLogs {
    private RowLogs() {}

    /** A step of one rank. */
    record Line(long step, int epoch, int rank, int worldSize, double loss, List<Long> rows) {
        private static Line of(JsonNode json) {
            List<Long> rows = new ArrayList<>();
            json.get("rows").forEach(row -> rows.add(row.asLong()));
            return new Line(
                    json.get("step").asLong(),
                    json.get("epoch").asInt(),
                    json.get("rank").asInt(),
                    json.get("world_size").asInt(),
                    json.get("loss").asDouble(),
                    rows);
        }
    }

    /** The lines of all ranks, each rank's in the order in which they were written; none where there is no log yet. */
    static List<Line> read(Path folder) {
        List<Line> lines = new ArrayList<>();
        if (!Files.isDirectory(folder)) {
            return lines;
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.sorted().toList()) {
                String text = Files.readString(file);
                // A rank may be writing its next line now.
                for (String line :
                        text.substring(0, text.lastIndexOf('\n') + 1).lines().toList()) {
                    lines.add(Line.of(new ObjectMapper().readTree(line)));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return lines;
    }

    /** By step and rank, what was done last: where a run went on from a checkpoint, it does the steps since then once more. */
    static SortedMap<Long, SortedMap<Integer, Line>> last(List<Line> lines) {
        SortedMap<Long, SortedMap<Integer, Line>> steps = new TreeMap<>();
        for (Line line : lines) {
            steps.computeIfAbsent(line.step(), step -> new TreeMap<>()).put(line.rank(), line);
        }
        return steps;
    }

    /**
     * The rows of each epoch in the order of the sampler over all ranks, whatever their number: {@code interleaved} where it
     * deals row by row, else batch by batch.
     */
    static Map<Integer, List<Long>> order(SortedMap<Long, SortedMap<Integer, Line>> steps, boolean interleaved) {
        Map<Integer, List<Long>> epochs = new TreeMap<>();
        for (SortedMap<Integer, Line> ranks : steps.values()) {
            List<Long> order =
                    epochs.computeIfAbsent(ranks.values().iterator().next().epoch(), epoch -> new ArrayList<>());
            if (!interleaved) {
                ranks.values().forEach(line -> order.addAll(line.rows()));
                continue;
            }
            int most = ranks.values().stream()
                    .mapToInt(line -> line.rows().size())
                    .max()
                    .orElse(0);
            for (int i = 0; i < most; i++) {
                for (Line line : ranks.values()) {
                    if (i < line.rows().size()) {
                        order.add(line.rows().get(i));
                    }
                }
            }
        }
        return epochs;
    }
}
