package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.tracking.JsonLinesTracker;
import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The page about runs, in a real browser. */
@Timeout(600)
class ReportTest {
    /** What a browser finds in a copy of the page: of each image its size, and how many of its pixels are painted. */
    private static final String LOOK = """
            <script>
            window.addEventListener('load', () => {
              const found = Array.from(document.images, image => {
                const canvas = document.createElement('canvas');
                canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
                const context = canvas.getContext('2d', {willReadFrequently: true});
                context.drawImage(image, 0, 0);
                const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
                let painted = 0, coloured = 0;
                for (let i = 0; i < data.length; i += 4) {
                  if (data[i + 3] > 0) painted++;
                  if (data[i + 3] > 200 && Math.max(data[i], data[i + 1], data[i + 2])
                      - Math.min(data[i], data[i + 1], data[i + 2]) > 60) coloured++;
                }
                const box = image.getBoundingClientRect();
                return {alt: image.alt, width: image.naturalWidth, height: image.naturalHeight, shown: box.width,
                  right: box.right, painted, coloured};
              });
              const pre = document.createElement('pre');
              pre.id = 'found';
              pre.textContent = JSON.stringify({images: found, wide: document.documentElement.scrollWidth,
                window: window.innerWidth, asked: performance.getEntriesByType('resource').map(e => e.name)
                  .filter(name => !name.startsWith('data:'))});
              document.body.append(pre);
            });
            </script>
            """;

    @TempDir
    private static Path folder;

    private static Path trained;

    @BeforeAll
    static void train() throws Exception {
        String dataset = CommandLineRun.createDataset(folder, 120, 120);
        trained = folder.resolve("a run");
        Result result = CommandLineRun.run(
                "train",
                dataset,
                "--epochs=3",
                "--batch-size=5",
                "--image-size=32",
                "--lr=0.01",
                "--val-fraction=0.2",
                "--track-every=2",
                "--run-dir=" + trained);
        assertThat(result.status()).as(result.output()).isZero();
    }

    private static JsonNode look(Path page, Browser browser) throws Exception {
        Path copy = page.resolveSibling("looked-at.html");
        Files.writeString(copy, Files.readString(page).replace("</head>", LOOK + "</head>"));
        String dom = browser.dom(copy);
        int begin = dom.indexOf("<pre id=\"found\">");
        assertThat(begin).as("the browser has run to the end").isPositive();
        String json = dom.substring(begin + 16, dom.indexOf("</pre>", begin));
        return new ObjectMapper()
                .readTree(json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
    }

    private static Path keep(String name) throws Exception {
        return Files.createDirectories(Path.of("target/report")).resolve(name).toAbsolutePath();
    }

    @Test
    void pageOfARunShowsItsChartsAndImagesInABrowser() throws Exception {
        Path page = keep("run.html");
        Path bench = Path.of(System.getProperty("lancetorch.root"), "docs/bench.svg");
        Result result = CommandLineRun.run("report", trained.toString(), "-o", page.toString(), "--bench=" + bench);
        assertThat(result.status()).as(result.output()).isZero();
        Browser browser = new Browser(Files.createDirectories(folder.resolve("browser")));
        JsonNode found = look(page, browser);
        assertThat(found.get("asked")).isEmpty();
        List<String> charts = new ArrayList<>();
        int samples = 0;
        for (JsonNode image : found.get("images")) {
            String alt = image.get("alt").asText();
            assertThat(image.get("width").asInt()).as(alt).isPositive();
            assertThat(image.get("shown").asInt()).as(alt).isPositive();
            if (image.get("width").asInt() == 500) {
                charts.add(alt.substring(0, alt.indexOf(':')));
                // Axes, text and grid paint some thousands of pixels, and each line some hundreds in its colour.
                assertThat(image.get("painted").asInt()).as(alt).isBetween(3_000, 60_000);
                assertThat(image.get("coloured").asInt()).as(alt).isGreaterThan(150);
            } else if (image.get("width").asInt() == 32) {
                samples++;
                assertThat(image.get("painted").asInt()).as(alt).isEqualTo(32 * 32);
            }
        }
        assertThat(charts)
                .containsExactly(
                        "Training loss",
                        "Validation accuracy",
                        "Throughput",
                        "Throughput of each rank",
                        "Waiting for data",
                        "Processor",
                        "Memory");
        assertThat(samples).isEqualTo(5);
        assertThat(Files.readString(page)).contains("rank 0 from ", "rank 1 from ", "finished", "batch_size");

        Path wide = keep("wide.png");
        browser.screenshot(page, wide, 1280, 3600, false);
        Path narrow = keep("narrow.png");
        browser.screenshot(page, narrow, 500, 1600, true);
        assertThat(count(wide, 0x3b82f6))
                .as("pixels of the first line's colour")
                .isGreaterThan(200);
        assertThat(count(narrow, 0x3b82f6)).isGreaterThan(100);
        assertThat(ImageIO.read(wide.toFile()).getRGB(2, 2) & 0xffffff).isEqualTo(0xf4f6f9);
    }

    private static long count(Path png, int colour) throws Exception {
        BufferedImage image = ImageIO.read(png.toFile());
        long count = 0;
        for (int y = 0; y < image.getHeight(); y++) {
            for (int x = 0; x < image.getWidth(); x++) {
                count += (image.getRGB(x, y) & 0xffffff) == colour ? 1 : 0;
            }
        }
        return count;
    }

    @Test
    void runsAreComparedAndWhatAResumedRunDidAnewCountsOnce() throws Exception {
        Path file = folder.resolve("other.jsonl");
        try (var tracker = new JsonLinesTracker(file, false)) {
            tracker.start(0);
            tracker.parameters(Map.of("run_name", "<script>alert('x')</script> & \u0001co", "batch_size", "64"));
            for (int step = 1; step <= 2_000; step++) {
                tracker.metrics(step, Map.of("step/loss", 100.0 / step, "step/learning_rate", 0.1 / step));
            }
            tracker.start(1_000);
            for (int step = 1_001; step <= 1_500; step++) {
                tracker.metrics(step, Map.of("step/loss", step == 1_500 ? 0.125 : Double.NaN));
            }
        }
        Files.writeString(file, "{\"time\":\"2026", StandardOpenOption.APPEND);
        Path page = keep("two-runs.html");
        Result result = CommandLineRun.run("report", trained.toString(), file.toString(), "-o", page.toString());
        assertThat(result.status()).as(result.output()).isZero();
        String html = Files.readString(page);
        assertThat(html)
                .contains("2 runs", "&lt;script&gt;alert('x')&lt;/script&gt; &amp;", "running, or killed")
                .contains("a run, epochs from ", "steps from 100.0 to 0.1250;\"", "<td class=\"number\">1,500</td>")
                .contains("Learning rate")
                .doesNotContain("<script>");
        JsonNode found = look(page, new Browser(Files.createDirectories(folder.resolve("browser2"))));
        assertThat(found.get("images"))
                .hasSizeGreaterThan(7)
                .allSatisfy(image -> assertThat(image.get("width").asInt()).isPositive());
        assertThat(found.get("wide").asInt())
                .as("nothing reaches out of the window")
                .isLessThanOrEqualTo(found.get("window").asInt());
    }

    @Test
    void runsThatAreNoneAreToldInALine() throws Exception {
        Path empty = Files.createDirectories(folder.resolve("empty"));
        Path text = Files.writeString(folder.resolve("text.txt"), "no JSON\n");
        for (Map.Entry<Path, String> entry : Map.of(
                        empty, "has no metrics.jsonl", text, "tells of no run", folder.resolve("nowhere"), "no run at")
                .entrySet()) {
            Result result = CommandLineRun.run("report", entry.getKey().toString());
            assertThat(result.status()).isEqualTo(1);
            assertThat(result.output())
                    .contains(entry.getValue(), entry.getKey().toString())
                    .doesNotContain("\tat ");
        }
        Result nothing = CommandLineRun.run("report");
        assertThat(nothing.status()).isEqualTo(2);
        Result nowhere = CommandLineRun.run("report", trained.toString(), "-o", folder + "/none/report.html");
        assertThat(nowhere.status()).isEqualTo(1);
        assertThat(nowhere.output()).contains("no folder");
    }
}
