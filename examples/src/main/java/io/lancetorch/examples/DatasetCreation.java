package io.lancetorch.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.distributed.HealthCheck;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.FragmentWriter;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RowWriter;
import io.lancetorch.lance.Schema;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes an image source to a Lance dataset. */
final class DatasetCreation {
    static final String IMAGE = "image";
    static final String LABEL = "label";
    static final String CLASSES = "classes";

    /** Long enough for a rank to write all of its images, while another one waits for it; that it has died is known sooner. */
    private static final Duration WRITING = Duration.ofDays(1);

    private static final Duration JOINING = Duration.ofMinutes(5);

    private final ImageSource source;
    private final String uri;
    private final LanceWriter.Builder target;
    private long bytes;

    DatasetCreation(
            ImageSource source, String uri, Map<String, String> storageOptions, long fragmentSize, boolean overwrite) {
        this.source = source;
        this.uri = uri;
        Schema schema = Schema.of(Field.binary(IMAGE), Field.int64(LABEL))
                .withMetadata(Map.of(CLASSES, json(source.classes())));
        target = LanceWriter.to(uri, schema)
                .mode(overwrite ? LanceWriter.Mode.OVERWRITE : LanceWriter.Mode.CREATE)
                .storageOptions(storageOptions)
                .maxRowsPerFile(fragmentSize);
    }

    /** Writes all images. */
    void write() throws IOException {
        long start = System.nanoTime();
        try (LanceWriter writer = target.open()) {
            append(writer, 0, source.size(), true);
            long version = writer.finish();
            System.out.printf(
                    Locale.ROOT,
                    "wrote %,d images of %d classes (%.1f MB) to %s, version %d, in %.1f s%n",
                    source.size(),
                    source.classes().size(),
                    bytes / 1e6,
                    uri,
                    version,
                    (System.nanoTime() - start) / 1e9);
        }
    }

    /**
     * Writes the images of one rank, neighbours in the source's order, and as rank 0 commits those of all: the rows come in the
     * order in which one process would have written them.
     */
    void writeShare(RankEnvironment environment) throws IOException {
        long start = System.nanoTime();
        int rank = environment.rank();
        int ranks = environment.worldSize();
        try (var group = ProcessGroup.fromEnvironment(environment, JOINING, WRITING, HealthCheck.DEFAULT)) {
            try (FragmentWriter writer = target.openFragments()) {
                append(writer, share(rank, ranks), share(rank + 1, ranks), rank == 0);
                List<byte[]> parts = group.allGather(writer.finish().getBytes(UTF_8));
                if (rank == 0) {
                    long version = target.commit(
                            parts.stream().map(part -> new String(part, UTF_8)).toList());
                    System.out.printf(
                            Locale.ROOT,
                            "%d processes wrote %,d images of %d classes to %s, version %d, in %.1f s%n",
                            ranks,
                            source.size(),
                            source.classes().size(),
                            uri,
                            version,
                            (System.nanoTime() - start) / 1e9);
                }
                // No rank says that all is well before the commit is done.
                group.barrier();
            } catch (RuntimeException | IOException e) {
                group.fail(e);
                throw e;
            }
        }
    }

    /** The first image of a rank. */
    private int share(int rank, int ranks) {
        return Math.toIntExact((long) source.size() * rank / ranks);
    }

    private void append(RowWriter writer, int begin, int end, boolean shown) throws IOException {
        try (var progress = new Progress("writing " + uri, " images", end - begin, shown)) {
            for (int i = begin; i < end; i++) {
                byte[] image = source.image(i);
                bytes += image.length;
                writer.append(image, (long) source.label(i));
                progress.stepTo(i + 1 - begin);
            }
        }
    }

    private static String json(List<String> names) {
        try {
            return new ObjectMapper().writeValueAsString(names);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }
}
