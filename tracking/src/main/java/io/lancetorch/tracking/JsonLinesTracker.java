package io.lancetorch.tracking;

import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes a line of JSON for each event:
 *
 * <pre>{@code
 * {"time":"2026-11-24T00:00:00Z","parameters":{"lr":"0.1"}}
 * {"time":"2026-11-24T00:00:02Z","step":100,"loss":0.25,"images_per_second":180.5}
 * }</pre>
 *
 * Each is written at once, so that of a process that is killed there are whole lines.
 */
public final class JsonLinesTracker implements Tracker {
    private final Path path;
    private final OutputStream file;
    private boolean torn;

    /**
     * Opens the file, made where it is missing.
     *
     * @param append whether a file that is there is gone on with, or begun anew
     * @throws UncheckedIOException if it cannot be written
     */
    public JsonLinesTracker(Path path, boolean append) {
        this.path = path;
        try {
            torn = append && endsWithinALine(path);
            file = Files.newOutputStream(
                    path,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE,
                    append ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + path + ": " + e, e);
        }
    }

    private static boolean endsWithinALine(Path path) throws IOException {
        if (!Files.isRegularFile(path) || Files.size(path) == 0) {
            return false;
        }
        try (var file = new RandomAccessFile(path.toFile(), "r")) {
            file.seek(file.length() - 1);
            return file.read() != '\n';
        }
    }

    @Override
    public synchronized void track(TrackingEvent event) {
        String line = JsonLine.of(event, path.toAbsolutePath().getParent());
        try {
            // What a full disk has left of a line stays a line of its own.
            file.write(((torn ? "\n" : "") + line + "\n").getBytes(StandardCharsets.UTF_8));
            torn = false;
        } catch (IOException e) {
            torn = true;
            throw new UncheckedIOException("cannot write " + path + ": " + e, e);
        }
    }

    @Override
    public synchronized void close() {
        try {
            file.close();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + path + ": " + e, e);
        }
    }

    /**
     * The events of such a file, in its order. Lines that are none are left out: a process that was killed, or a disk that was
     * full, may have left a part of one.
     *
     * @throws NoSuchFileException if there is none
     */
    public static List<TrackingEvent> read(Path file) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        List<TrackingEvent> events = new ArrayList<>();
        // Not readAllLines, which a byte that is no UTF-8 fails.
        for (String line : new String(Files.readAllBytes(file), StandardCharsets.UTF_8).split("\n")) {
            TrackingEvent event = JsonLine.parse(line, folder);
            if (event != null) {
                events.add(event);
            }
        }
        return events;
    }

    @Override
    public String toString() {
        return "jsonl:" + path;
    }
}
