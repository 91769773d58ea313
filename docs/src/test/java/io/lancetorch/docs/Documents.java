package io.lancetorch.docs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The README and the site's pages, as they are written. */
final class Documents {
    static final Path ROOT = Path.of(System.getProperty("lancetorch.root"));
    static final Path PAGES = ROOT.resolve("docs/src/site/markdown");

    private static final Pattern FENCE = Pattern.compile("(?ms)^```(\\w*)\\n(.*?)^```\\s*$");
    private static final Pattern COMMENT = Pattern.compile("(?s)<!--.*?-->");
    private static final Pattern INLINE = Pattern.compile("`([^`\\n]+)`");

    private Documents() {}

    /** A piece of a document; {@code line} counts from 1. */
    record Piece(Path document, int line, String text) {
        @Override
        public String toString() {
            return ROOT.relativize(document) + ":" + line + ": " + text.strip();
        }
    }

    static List<Path> pages() throws IOException {
        try (Stream<Path> files = Files.list(PAGES)) {
            return files.filter(file -> file.toString().endsWith(".md"))
                    .sorted()
                    .toList();
        }
    }

    static List<Path> all() throws IOException {
        List<Path> all = new ArrayList<>(List.of(ROOT.resolve("README.md")));
        all.addAll(pages());
        return all;
    }

    static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The blocks that are fenced as {@code language}. */
    static List<Piece> blocks(Path document, String language) {
        String text = read(document);
        return FENCE.matcher(text)
                .results()
                .filter(block -> block.group(1).equals(language))
                .map(block -> new Piece(document, line(text, block) + 1, block.group(2)))
                .toList();
    }

    /** What is written as code within the text, and in no block. */
    static List<Piece> inlineCode(Path document) {
        String text = FENCE.matcher(read(document)).replaceAll(Documents::blank);
        String shown = COMMENT.matcher(text).replaceAll(Documents::blank);
        return INLINE.matcher(shown)
                .results()
                .map(code -> new Piece(document, line(shown, code), code.group(1)))
                .toList();
    }

    private static String blank(MatchResult match) {
        return match.group().replaceAll("[^\\n]", "");
    }

    private static int line(String text, MatchResult match) {
        return 1
                + (int) text.substring(0, match.start())
                        .chars()
                        .filter(c -> c == '\n')
                        .count();
    }
}
