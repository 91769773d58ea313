package io.lancetorch.tracking;

import io.lancetorch.tracking.TrackingEvent.Ended;
import io.lancetorch.tracking.TrackingEvent.Image;
import io.lancetorch.tracking.TrackingEvent.Metrics;
import io.lancetorch.tracking.TrackingEvent.Parameters;
import io.lancetorch.tracking.TrackingEvent.Started;
import io.lancetorch.tracking.TrackingEvent.Tags;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;

/**
 * Writes TensorBoard's event files: metrics as scalars (float32), parameters and tags as text, images as images. Each tracker
 * begins a file of its own in the folder, which TensorBoard shows as one run; where a run goes on from a checkpoint, later steps
 * of the files before are replaced by those of this one.
 */
public final class TensorBoardTracker implements Tracker {
    /** Of a PNG's header: width and height, big-endian. */
    private static final int PNG_SIZE = 16;

    private final Path folder;
    private final EventFile file;

    /**
     * Begins a file in {@code folder}, which is made where it is missing.
     *
     * @throws UncheckedIOException if it cannot be written
     */
    public TensorBoardTracker(Path folder) {
        this.folder = folder;
        Instant now = Instant.now();
        try {
            Files.createDirectories(folder);
            // TensorBoard reads a folder's files in the order of their names.
            file = new EventFile(folder.resolve("events.out.tfevents.%010d.%s.%d.%09d"
                    .formatted(
                            now.getEpochSecond(),
                            host(),
                            ProcessHandle.current().pid(),
                            now.getNano())));
            file.append(EventMessage.version(now));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write event files to " + folder + ": " + e, e);
        }
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "localhost";
        }
    }

    @Override
    public synchronized void track(TrackingEvent event) {
        try {
            switch (event) {
                case Started started -> file.append(EventMessage.sessionStart(started.time(), started.step() + 1));
                case Parameters parameters -> text(parameters.time(), "parameters", table(parameters.values()));
                case Tags tags -> {
                    for (Map.Entry<String, String> tag : tags.values().entrySet()) {
                        text(tags.time(), tag.getKey(), tag.getValue());
                    }
                }
                case Metrics metrics ->
                    file.append(EventMessage.scalars(metrics.time(), metrics.step(), metrics.values()));
                case Image image -> append(image);
                case Ended ended -> text(ended.time(), "status", ended.status().name());
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write event files to " + folder + ": " + e, e);
        }
    }

    private void text(Instant time, String name, String markdown) throws IOException {
        file.append(EventMessage.text(time, 0, name + "/text_summary", markdown));
    }

    private void append(Image image) throws IOException {
        byte[] png = Files.readAllBytes(image.file());
        ByteBuffer header = ByteBuffer.wrap(png);
        if (png.length < PNG_SIZE + 8) {
            throw new IOException(image.file() + " is no PNG");
        }
        file.append(EventMessage.image(
                image.time(), image.step(), image.name(), header.getInt(PNG_SIZE), header.getInt(PNG_SIZE + 4), png));
        file.append(
                EventMessage.text(image.time(), image.step(), image.name() + "/text_summary", table(image.about())));
    }

    private static String table(Map<String, String> values) {
        var table = new StringBuilder("| | |\n|---|---|\n");
        values.forEach((name, value) -> table.append("| " + cell(name) + " | " + cell(value) + " |\n"));
        return table.toString();
    }

    private static String cell(String text) {
        return text.replace("|", "\\|").replace("\n", " ");
    }

    @Override
    public synchronized void close() {
        try {
            file.close();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write event files to " + folder + ": " + e, e);
        }
    }

    @Override
    public String toString() {
        return "tensorboard:" + folder;
    }
}
