package io.lancetorch.docs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The site as Maven built it. */
class SiteTest {
    private static final Path SITE = Path.of(System.getProperty("lancetorch.site"));
    private static final Pattern LINK = Pattern.compile("(?:href|src)=\"([^\"]*)\"");
    private static final Pattern ANCHOR = Pattern.compile("(?:id|name)=\"([^\"]+)\"");
    private static final Pattern MARKDOWN_LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");

    @BeforeAll
    static void requireSite() {
        assumeTrue(Files.exists(SITE.resolve("index.html")), "skipped: the site was not built (-Dsite.skip=true)");
    }

    private static List<Path> pages() throws IOException {
        try (Stream<Path> files = Files.list(SITE)) {
            return files.filter(file -> file.toString().endsWith(".html")).toList();
        }
    }

    /** What is wrong with a link of a page; null: nothing. */
    private static String wrong(Path page, String link) {
        URI uri = URI.create(link.replace("&amp;", "&"));
        if (uri.getScheme() != null) {
            return uri.getScheme().equals("https") ? null : "is neither of this site nor https";
        }
        Path target = uri.getPath().isEmpty()
                ? page
                : page.resolveSibling(uri.getPath()).normalize();
        if (!Files.isRegularFile(target)) {
            return "leads to no file";
        }
        if (uri.getFragment() == null || uri.getFragment().isEmpty()) {
            return null;
        }
        Set<String> anchors = ANCHOR.matcher(Documents.read(target))
                .results()
                .map(anchor -> anchor.group(1))
                .collect(Collectors.toSet());
        return anchors.contains(uri.getFragment()) ? null : "leads to no such place of the page";
    }

    @Test
    void noLinkIsDead() throws Exception {
        List<String> dead = new ArrayList<>();
        for (Path page : pages()) {
            LINK.matcher(Documents.read(page))
                    .results()
                    .map(link -> link.group(1))
                    .forEach(link -> {
                        String why = wrong(page, link);
                        if (why != null) {
                            dead.add(page.getFileName() + ": " + link + " " + why);
                        }
                    });
        }
        assertThat(dead).isEmpty();
        assertThat(wrong(SITE.resolve("index.html"), "nowhere.html")).isNotNull();
        assertThat(wrong(SITE.resolve("index.html"), "cookbook.html#no-such-recipe"))
                .isNotNull();
    }

    @Test
    void eachPageIsThereAndInTheMenu() throws Exception {
        String menu = Documents.read(Documents.ROOT.resolve("docs/src/site/site.xml"));
        for (Path page : Documents.pages()) {
            String name = page.getFileName().toString().replaceFirst("\\.md$", ".html");
            assertThat(SITE.resolve(name)).exists();
            assertThat(menu).contains("href=\"" + name + "\"");
        }
    }

    @Test
    void theRecipesShowTheirCode() throws Exception {
        String cookbook = Documents.read(SITE.resolve("cookbook.html"));
        long asked = Pattern.compile("MACRO\\{snippet")
                .matcher(Documents.read(Documents.PAGES.resolve("cookbook.md")))
                .results()
                .count();
        long shown = Pattern.compile("<pre").matcher(cookbook).results().count();
        assertThat(asked).isGreaterThanOrEqualTo(17);
        assertThat(shown).isGreaterThanOrEqualTo(asked);
        assertThat(cookbook)
                .contains("static DataLoader open(LanceDataset dataset)")
                .doesNotContain("SNIPPET");
    }

    @Test
    void nothingIsLoadedFromElsewhere() throws Exception {
        Pattern loaded = Pattern.compile("<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(?:https?:)?//");
        for (Path page : pages()) {
            assertThat(Documents.read(page)).doesNotContainPattern(loaded);
        }
    }

    @Test
    void theLinksOfTheReadmeLeadSomewhere() {
        Path readme = Documents.ROOT.resolve("README.md");
        List<String> links = MARKDOWN_LINK
                .matcher(Documents.read(readme))
                .results()
                .map(link -> link.group(1))
                .filter(link -> !link.startsWith("https:"))
                .toList();
        assertThat(links).isNotEmpty().allSatisfy(link -> assertThat(
                        Documents.ROOT.resolve(link.replaceFirst("#.*", "")))
                .exists());
    }
}
