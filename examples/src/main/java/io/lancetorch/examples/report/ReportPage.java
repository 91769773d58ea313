package io.lancetorch.examples.report;

import io.lancetorch.examples.report.LineChart.Line;
import io.lancetorch.examples.report.RunRecord.Point;
import io.lancetorch.tracking.TrackingEvent.Image;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.SortedMap;
import java.util.function.ToDoubleFunction;

/** A page about runs, in one file that asks nobody for anything: runs beside each other first, and then each by itself. */
public final class ReportPage {
    private static final String STYLE = """

            :root { color-scheme: light dark; --paper: #f4f6f9; --card: #ffffff; --ink: #1d2430; --soft: #5d6878; --line: #dde2ea;
              --good: #14804a; --bad: #c02638 }
            @media (prefers-color-scheme: dark) { :root { --paper: #12161d; --card: #1b212b; --ink: #e6e9ef; --soft: #9aa5b5;
              --line: #313a48; --good: #4cc38a; --bad: #ff8591 } }
            * { box-sizing: border-box }
            body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
            main { max-width: 1240px; margin: 0 auto; padding: 24px 16px 48px }
            h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 20px; margin: 36px 0 12px } h3 { font-size: 16px; margin: 20px 0 8px }
            p.note { color: var(--soft); margin: 0 0 16px }
            .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px }
            figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px }
            figure img { display: block; width: 100%; height: auto }
            figcaption { font-weight: 600; margin-bottom: 6px }
            figcaption small { display: block; font-weight: 400; color: var(--soft) }
            .scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
            table { border-collapse: collapse; width: 100% }
            th, td { padding: 7px 12px; text-align: left; border-bottom: 1px solid var(--line); overflow-wrap: anywhere;
              min-width: 70px; vertical-align: top }
            .summary th, .summary td { white-space: nowrap; overflow-wrap: normal }
            tr:last-child td, tr:last-child th { border-bottom: 0 }
            th { font-weight: 600; color: var(--soft) } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
            tr.differs td, tr.differs th { color: var(--ink); font-weight: 600 }
            .samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 12px }
            .samples figure { padding: 8px; font-size: 13px } .samples img { image-rendering: pixelated; border-radius: 4px }
            .samples figcaption { margin: 6px 0 0; font-weight: 400; overflow-wrap: anywhere }
            .right { color: var(--good) } .wrong { color: var(--bad); font-weight: 600 }
            figure.bench { background: #ffffff; color: #1d2430 } figure.bench img { max-width: 1000px; margin: 0 auto }
            """;

    private static final DateTimeFormatter WHEN =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm 'UTC'", Locale.ROOT).withZone(ZoneOffset.UTC);

    private final List<RunRecord> runs;
    private final List<String> names;
    private final List<Path> benches;
    private final Page page = new Page();

    private ReportPage(List<RunRecord> runs, List<Path> benches) {
        this.runs = runs;
        this.names = names(runs);
        this.benches = benches;
    }

    /**
     * The page's HTML.
     *
     * @param benches SVGs to show at its end
     * @throws IOException if one of them cannot be read
     */
    public static String of(List<RunRecord> runs, List<Path> benches) throws IOException {
        return new ReportPage(runs, benches).html();
    }

    /** Runs of the same name are told apart by where they are. */
    private static List<String> names(List<RunRecord> runs) {
        return runs.stream()
                .map(run -> runs.stream()
                                        .filter(other -> other.name().equals(run.name()))
                                        .count()
                                > 1
                        ? run.name() + " (" + run.source() + ")"
                        : run.name())
                .toList();
    }

    private String html() throws IOException {
        page.open("html", "lang", "en").open("head");
        page.empty("meta", "charset", "utf-8");
        page.empty("meta", "name", "viewport", "content", "width=device-width, initial-scale=1");
        page.element("title", "lancetorch: " + String.join(", ", names))
                .element("style", STYLE)
                .close();
        page.open("body").open("main");
        page.element("h1", names.size() == 1 ? names.getFirst() : names.size() + " runs");
        page.element(
                "p",
                "Begun " + WHEN.format(runs.getFirst().begin()) + (runs.size() == 1 ? "" : ", the first of them")
                        + ". Steps are those of each rank; losses and shares are means.",
                "class",
                "note");
        summary();
        comparison();
        for (int run = 0; run < runs.size(); run++) {
            single(run);
        }
        parameters();
        benches();
        return page.close().close().close().toString();
    }

    // ---- tables ----

    private void summary() {
        page.open("div", "class", "scroll").open("table", "class", "summary").open("tr");
        for (String heading : List.of("run", "status")) {
            page.element("th", heading);
        }
        for (String heading :
                List.of("ranks", "epochs", "steps", "last loss", "best accuracy", "images/s", "waiting", "time")) {
            page.element("th", heading, "class", "number");
        }
        page.close();
        for (int run = 0; run < runs.size(); run++) {
            RunRecord record = runs.get(run);
            page.open("tr").element("td", names.get(run)).element("td", record.status());
            number(figure("%.0f", last(record.points("world_size"), record.ranks())));
            number(Integer.toString(record.points("epoch").size()));
            number(String.format(Locale.ROOT, "%,d", record.steps()));
            number(figure("%.4f", last(record.points("loss"), last(record.points("step/loss"), Double.NaN))));
            number(figure(
                    "%.1f %%",
                    100
                            * record.points("val_accuracy").values().stream()
                                    .mapToDouble(Point::value)
                                    .max()
                                    .orElse(Double.NaN)));
            number(figure("%,.1f", mean(record.points("images_per_second"))));
            number(figure("%.1f %%", 100 * mean(record.points("data_wait_fraction"))));
            number(time(record.duration()));
            page.close();
        }
        page.close().close();
    }

    private void number(String text) {
        page.element("td", text, "class", "number");
    }

    private static String figure(String format, double value) {
        return Double.isNaN(value) ? "–" : String.format(Locale.ROOT, format, value);
    }

    private static double last(SortedMap<Long, Point> points, double otherwise) {
        return points.isEmpty() ? otherwise : points.lastEntry().getValue().value();
    }

    private static double mean(SortedMap<Long, Point> points) {
        return points.values().stream().mapToDouble(Point::value).average().orElse(Double.NaN);
    }

    private static String time(Duration time) {
        return time.toHours() > 0
                ? String.format(Locale.ROOT, "%d h %02d min", time.toHours(), time.toMinutesPart())
                : time.toMinutes() > 0
                        ? String.format(Locale.ROOT, "%d min %02d s", time.toMinutes(), time.toSecondsPart())
                        : time.toSeconds() + " s";
    }

    private void parameters() {
        Set<String> keys = new LinkedHashSet<>();
        runs.forEach(run -> keys.addAll(run.parameters().keySet()));
        runs.forEach(run -> keys.addAll(run.tags().keySet()));
        if (keys.isEmpty()) {
            return;
        }
        page.element("h2", "Parameters");
        if (runs.size() > 1) {
            page.element("p", "What differs between the runs is in bold.", "class", "note");
        }
        page.open("div", "class", "scroll").open("table").open("tr").element("th", "parameter");
        names.forEach(name -> page.element("th", name));
        page.close();
        for (String key : keys) {
            List<String> values = runs.stream()
                    .map(run -> run.parameters().getOrDefault(key, run.tags().getOrDefault(key, "–")))
                    .toList();
            boolean differs = values.stream().distinct().count() > 1;
            page.open("tr", "class", differs ? "differs" : "same").element("th", key);
            values.forEach(value -> page.element("td", value));
            page.close();
        }
        page.close().close();
    }

    // ---- charts ----

    private void comparison() {
        page.element("h2", runs.size() == 1 ? "Learning" : "Beside each other").open("div", "class", "charts");
        chart("Training loss", "means over some steps of rank 0, and over epochs of all ranks", lossChart());
        chart(
                "Validation accuracy",
                "of the images that were held out, after each epoch",
                overEpochs("right answers, %", true, "val_accuracy", point -> 100 * point.value()));
        chart(
                "Throughput",
                "of all ranks together, in each epoch",
                overEpochs("images/s", true, "images_per_second", Point::value));
        LineChart rates = perRun("step", "learning rate", true, true, "step/learning_rate");
        if (rates.lines().stream()
                .anyMatch(line -> java.util.Arrays.stream(line.y()).distinct().count() > 1)) {
            chart("Learning rate", "of the optimizer's first group", rates);
        }
        page.close();
    }

    private LineChart lossChart() {
        List<Line> lines = new ArrayList<>();
        for (int run = 0; run < runs.size(); run++) {
            String prefix = runs.size() == 1 ? "" : names.get(run) + ", ";
            lines.add(line(prefix + "steps", run, true, runs.get(run).points("step/loss"), Point::value));
            lines.add(line(prefix + "epochs", run, false, runs.get(run).points("loss"), Point::value));
        }
        return new LineChart("step", "cross entropy, nats", false, true, lines);
    }

    private LineChart perRun(String x, String y, boolean fromZero, boolean wholeX, String metric) {
        List<Line> lines = new ArrayList<>();
        for (int run = 0; run < runs.size(); run++) {
            lines.add(line(names.get(run), run, false, runs.get(run).points(metric), Point::value));
        }
        return new LineChart(x, y, fromZero, wholeX, lines);
    }

    private static Line line(
            String name, int colour, boolean faint, SortedMap<Long, Point> points, ToDoubleFunction<Point> value) {
        return new Line(
                name,
                colour,
                faint,
                points.keySet().stream().mapToDouble(Long::doubleValue).toArray(),
                points.values().stream().mapToDouble(value).toArray());
    }

    private LineChart overEpochs(String y, boolean fromZero, String metric, ToDoubleFunction<Point> value) {
        List<Line> lines = new ArrayList<>();
        for (int run = 0; run < runs.size(); run++) {
            RunRecord record = runs.get(run);
            SortedMap<Long, Point> epochs = record.points("epoch");
            SortedMap<Long, Point> points = record.points(metric);
            points.keySet().retainAll(epochs.keySet());
            lines.add(new Line(
                    names.get(run),
                    run,
                    false,
                    points.keySet().stream()
                            .mapToDouble(step -> epochs.get(step).value() + 1)
                            .toArray(),
                    points.values().stream().mapToDouble(value).toArray()));
        }
        return new LineChart("epoch", y, fromZero, true, lines);
    }

    private void single(int index) throws IOException {
        RunRecord run = runs.get(index);
        page.element("h2", runs.size() == 1 ? "Ranks and machine" : names.get(index))
                .open("div", "class", "charts");
        chart(
                "Throughput of each rank",
                "over the time since the run began",
                overTime(run, "images/s", "step/images_per_second", 1));
        chart(
                "Waiting for data",
                "the share of its time that each rank waited for the loader",
                overTime(run, "% of the time", "step/data_wait_fraction", 100));
        chart(
                "Processor",
                "of all cores of rank 0's machine",
                ofMachine(
                        run,
                        "% of all cores",
                        1,
                        List.of("system/cpu_utilization_percentage", "system/process_cpu_percentage"),
                        List.of("all processes", "rank 0")));
        chart(
                "Memory",
                "of rank 0's process",
                ofMachine(
                        run,
                        "GB",
                        1e-3,
                        List.of("system/process_rss_megabytes", "system/process_heap_megabytes"),
                        List.of("resident", "Java heap")));
        chart(
                "GPU",
                "of rank 0's machine",
                ofMachine(
                        run,
                        "GB in use",
                        1e-3,
                        List.of("system/gpu_0_memory_usage_megabytes", "system/gpu_1_memory_usage_megabytes"),
                        List.of("GPU 0", "GPU 1")));
        page.close();
        samples(run);
    }

    private static Line timed(String name, int colour, Collection<Point> points, double factor) {
        return new Line(
                name,
                colour,
                false,
                points.stream()
                        .mapToDouble(point -> point.time().toMillis() / 1e3)
                        .toArray(),
                points.stream().mapToDouble(point -> factor * point.value()).toArray());
    }

    private static LineChart overTime(RunRecord run, String y, String metric, double factor) {
        List<Line> lines = new ArrayList<>();
        for (int rank = 0; rank < run.ranks(); rank++) {
            lines.add(timed("rank " + rank, rank, byTime(run.points(rank, metric)), factor));
        }
        return new LineChart("seconds since the run began", y, true, false, lines);
    }

    private static List<Point> byTime(SortedMap<Long, Point> points) {
        return points.values().stream()
                .sorted(Comparator.comparing(Point::time))
                .toList();
    }

    private static LineChart ofMachine(
            RunRecord run, String y, double factor, List<String> metrics, List<String> labels) {
        List<Line> lines = new ArrayList<>();
        for (int i = 0; i < metrics.size(); i++) {
            lines.add(timed(labels.get(i), i, byTime(run.points(metrics.get(i))), factor));
        }
        return new LineChart("seconds since the run began", y, true, false, lines);
    }

    private void chart(String title, String about, LineChart chart) {
        if (chart.isEmpty()) {
            return;
        }
        page.open("figure", "class", "chart")
                .open("figcaption")
                .text(title)
                .element("small", about)
                .close();
        page.image(
                "image/svg+xml",
                chart.svg().getBytes(StandardCharsets.UTF_8),
                alt(title, chart),
                "width",
                Integer.toString(LineChart.WIDTH),
                "height",
                Integer.toString(LineChart.HEIGHT));
        page.close();
    }

    /** What the chart says, to whom it is read out. */
    private static String alt(String title, LineChart chart) {
        var alt = new StringBuilder(title).append(": ");
        for (Line line : chart.lines()) {
            alt.append(String.format(
                    Locale.ROOT, "%s from %.4g to %.4g; ", line.name(), line.y()[0], line.y()[line.y().length - 1]));
        }
        return alt.toString().strip();
    }

    private void samples(RunRecord run) throws IOException {
        if (run.images().isEmpty()) {
            return;
        }
        page.element(
                        "h3",
                        "Held-out images after step " + run.images().getFirst().step())
                .open("div", "class", "samples");
        for (Image image : run.images()) {
            String label = image.about().getOrDefault("label", "?");
            String prediction = image.about().getOrDefault("prediction", "?");
            page.open("figure");
            String said = label.equals(prediction) ? "✓ " + label : "✗ " + label + ", taken for " + prediction;
            if (Files.isRegularFile(image.file())) {
                page.image("image/png", Files.readAllBytes(image.file()), said);
            }
            page.open("figcaption")
                    .element("span", said, "class", label.equals(prediction) ? "right" : "wrong")
                    .text(" " + percent(image.about().get("confidence")))
                    .close()
                    .close();
        }
        page.close();
    }

    private static String percent(String confidence) {
        try {
            return confidence == null
                    ? ""
                    : String.format(Locale.ROOT, "%.0f %%", 100 * Double.parseDouble(confidence));
        } catch (NumberFormatException e) {
            return confidence;
        }
    }

    private void benches() throws IOException {
        if (benches.isEmpty()) {
            return;
        }
        page.element("h2", "Benchmarks");
        for (Path bench : benches) {
            page.open("figure", "class", "bench")
                    .element("figcaption", bench.getFileName().toString());
            page.image("image/svg+xml", Files.readAllBytes(bench), "The chart " + bench.getFileName())
                    .close();
        }
    }
}
