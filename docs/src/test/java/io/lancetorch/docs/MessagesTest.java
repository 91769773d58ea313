package io.lancetorch.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The messages of the page on troubleshooting, which must be those of the sources. */
class MessagesTest {
    private static final Pattern ROW = Pattern.compile("(?m)^\\| `([^`]+)` \\| .* \\|$");
    private static final List<String> FOLDERS = List.of(
            "bindings/src/main",
            "java-api/src/main",
            "examples/src/main",
            "interop/src/main",
            "tracking/src/main",
            "native/torch",
            "native/lance/src");

    /** The sources, with their string literals joined as the compilers join them. */
    private static List<String> sources() throws IOException {
        List<Path> files = new ArrayList<>(List.of(Documents.ROOT.resolve("lancetorch")));
        for (String folder : FOLDERS) {
            try (Stream<Path> all = Files.walk(Documents.ROOT.resolve(folder))) {
                all.filter(file -> file.toString().matches(".*\\.(java|cpp|h|rs)"))
                        .forEach(files::add);
            }
        }
        return files.stream().map(MessagesTest::joined).toList();
    }

    private static String joined(Path file) {
        return Documents.read(file)
                .replaceAll("\"\\s*\\+\\s*\"", "")
                .replaceAll("\\\\\\n\\s*", "")
                .replaceAll("\"\\s*\\n\\s*\"", "")
                .replace("\" \"", " ")
                .replace("\\\"", "\"");
    }

    private static boolean isIn(String message, String source) {
        int from = 0;
        for (String part : message.split("…")) {
            from = source.indexOf(part.strip(), from);
            if (from < 0) {
                return false;
            }
            from += part.strip().length();
        }
        return true;
    }

    @Test
    void eachIsStillInTheSources() throws Exception {
        List<String> sources = sources();
        List<String> messages = ROW.matcher(Documents.read(Documents.PAGES.resolve("troubleshooting.md")))
                .results()
                .map(row -> row.group(1))
                .filter(message -> !message.endsWith("Exception"))
                .toList();
        assertThat(messages).hasSizeGreaterThan(80);
        assertThat(messages)
                .filteredOn(message -> sources.stream().noneMatch(source -> isIn(message, source)))
                .isEmpty();
        assertThat(sources).noneMatch(source -> isIn("no such … message anywhere", source));
    }
}
