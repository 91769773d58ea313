package io.lancetorch.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes an image source to a Lance dataset. */
final class DatasetCreation {
    static final String IMAGE = "image";
    static final String LABEL = "label";
    static final String CLASSES = "classes";

    private DatasetCreation() {}

    static void write(
            ImageSource source, String uri, Map<String, String> storageOptions, long fragmentSize, boolean overwrite)
            throws IOException {
        long start = System.nanoTime();
        Schema schema = Schema.of(Field.binary(IMAGE), Field.int64(LABEL))
                .withMetadata(Map.of(CLASSES, json(source.classes())));
        try (LanceWriter writer = LanceWriter.to(uri, schema)
                        .mode(overwrite ? LanceWriter.Mode.OVERWRITE : LanceWriter.Mode.CREATE)
                        .storageOptions(storageOptions)
                        .maxRowsPerFile(fragmentSize)
                        .open();
                var progress = new Progress("writing " + uri, " images", source.size(), true)) {
            long bytes = 0;
            for (int i = 0; i < source.size(); i++) {
                byte[] image = source.image(i);
                bytes += image.length;
                writer.append(image, (long) source.label(i));
                progress.stepTo(i + 1);
            }
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

    private static String json(List<String> names) {
        try {
            return new ObjectMapper().writeValueAsString(names);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }
}
