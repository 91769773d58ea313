package io.lancetorch.cookbook;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Writes the images of class folders to a dataset. */
final class ImagesFromFolders {
    private ImagesFromFolders() {}

    // START SNIPPET: write
    /** {@code folder/<class>/<image>.jpg}; a class's label is its place in the order of names. Returns the new version. */
    static long write(Path folder, String uri) throws IOException {
        var schema = Schema.of(Field.binary("image"), Field.int64("label"));
        try (var writer = LanceWriter.to(uri, schema).maxRowsPerFile(12_500).open()) {
            List<Path> classes = sorted(folder);
            for (int label = 0; label < classes.size(); label++) {
                for (Path image : sorted(classes.get(label))) {
                    writer.append(Files.readAllBytes(image), (long) label);
                }
            }
            return writer.finish(); // the commit: until now, readers see nothing of it
        }
    }

    private static List<Path> sorted(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.sorted().toList();
        }
    }
    // END SNIPPET: write
}
