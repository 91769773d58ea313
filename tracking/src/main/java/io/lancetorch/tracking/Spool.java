package io.lancetorch.tracking;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A file of the events that a server has not taken yet: a header, which says for whom they are, and a line of JSON for each. It
 * is there only while there are some. Any thread may append; one takes.
 */
final class Spool {
    private final Path file;
    private final String header;
    private long written;
    private long taken;

    /** Goes on with what the file has. */
    Spool(Path file, String header) throws IOException {
        this.file = file;
        this.header = header;
        if (Files.exists(file)) {
            try (Stream<String> lines = Files.lines(file, StandardCharsets.ISO_8859_1)) {
                written = lines.count();
            }
            taken = 1; // the header
        }
    }

    Path file() {
        return file;
    }

    synchronized boolean isEmpty() {
        return written == taken;
    }

    synchronized void append(List<TrackingEvent> events) throws IOException {
        if (events.isEmpty()) {
            return;
        }
        if (!Files.exists(file)) {
            Files.writeString(file, header + "\n", StandardOpenOption.CREATE_NEW);
            written = 1;
            taken = 1;
        }
        try (var lines = new JsonLinesTracker(file, true)) {
            for (TrackingEvent event : events) {
                lines.track(event);
                written++;
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /** What takes events; those of a call that fails are given again. */
    interface Taker {
        void take(List<TrackingEvent> events) throws IOException;
    }

    /** Gives all events, so many at once, in their order, and then deletes the file. */
    void drain(int atOnce, Taker taker) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        do {
            try (BufferedReader lines = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
                for (long i = 0; i < taken; i++) {
                    lines.readLine();
                }
                List<TrackingEvent> events = new ArrayList<>();
                long read = 0;
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    read++;
                    TrackingEvent event = JsonLine.parse(line, folder);
                    if (event != null) {
                        events.add(event);
                    }
                    if (events.size() == atOnce) {
                        taker.take(events);
                        advance(read);
                        read = 0;
                        events.clear();
                    }
                }
                if (!events.isEmpty()) {
                    taker.take(events);
                }
                advance(read);
            }
        } while (!deleteIfDone());
    }

    private synchronized void advance(long lines) {
        taken += lines;
    }

    private synchronized boolean deleteIfDone() throws IOException {
        if (taken < written) {
            return false;
        }
        Files.deleteIfExists(file);
        written = 0;
        taken = 0;
        return true;
    }
}
