package io.lancetorch.jmh;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.tensor.Device;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Makes the benchmarks' inputs, runs each implementation in processes of its own, and compares the figures. */
@CommandLine.Command(
        name = "bench",
        description = "Runs benchmarks, each beside its peers and its limit. Leave the machine alone meanwhile.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        subcommands = SoakCommand.class)
public final class Bench implements Callable<Integer> {
    private static final int DEFAULT_BATCH_SIZE = 64;
    private static final Set<Case> OF_A_DATASET = Set.of(Case.LOADER, Case.CACHED, Case.START);

    @Spec
    private CommandSpec spec;

    @Parameters(
            paramLabel = "CASE",
            arity = "0..*",
            description =
                    "op, scan, take, decode, batch, loader, cached, start, collectives, step or gpu; none: all of them but gpu")
    private List<String> names = List.of();

    @Mixin
    private InputOptions inputs;

    @Option(
            names = "--with-python",
            description = "also the Python peers, in a virtual environment that is made in --dir by pip")
    private boolean withPython;

    @Option(
            names = "--only",
            paramLabel = "TEXT",
            description = "only the implementations whose name contains it, such as lancetorch")
    private String only = "";

    @Option(names = "--json", paramLabel = "FILE", description = "also write the figures there, as a list of objects")
    private Path json;

    @Option(names = "--chart", paramLabel = "FILE.svg", description = "also draw them there")
    private Path chart;

    @Option(names = "--quick", description = "one short iteration each: shows that all runs, the figures say little")
    private boolean quick;

    private Bench() {}

    public static void main(String[] arguments) {
        System.exit(run(System.err, arguments));
    }

    /** Returns the exit status; what goes wrong is said to {@code messages}. */
    static int run(PrintStream messages, String... arguments) {
        var bench = new Bench();
        var commandLine = new CommandLine(bench);
        if (System.getenv("LANCETORCH_PARSE_ONLY") != null) {
            commandLine.setExecutionStrategy(bench::parseOnly);
        }
        commandLine.setErr(new PrintWriter(messages, true));
        commandLine.setExecutionExceptionHandler((e, command, _) -> {
            if (e instanceof LanceTorchException || e instanceof IOException) {
                command.getErr().println("bench: " + e.getMessage());
                return 1;
            }
            throw e;
        });
        return commandLine.execute(arguments);
    }

    /** For who asks whether a use is right, as of the other commands. */
    private int parseOnly(CommandLine.ParseResult result) {
        if (!CommandLine.printHelpIfRequested(result)) {
            cases();
        }
        return 0;
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        Collection<Case> cases = cases();
        inputs.check();
        requireFolder("--json", json);
        requireFolder("--chart", chart);
        for (String option : List.of("--dataset", "--column", "--threads", "--image-size", "--batch-size")) {
            if (inputs.given(option) && cases.stream().noneMatch(OF_A_DATASET::contains)) {
                throw new ParameterException(
                        spec.commandLine(), option + " is only for loader, cached, start and soak");
            }
        }
        Settings settings = inputs.settings(quick, DEFAULT_BATCH_SIZE);
        var lab = new Lab(settings, withPython);
        List<Row> rows = new ArrayList<>();
        boolean failed = false;
        for (Case benchmark : cases) {
            System.out.println(benchmark.id + ": " + benchmark.title);
            prepare(benchmark, settings);
            lab.begin(benchmark);
            List<Score> scores = new ArrayList<>();
            Map<String, String> missing = new LinkedHashMap<>();
            for (Implementation implementation : benchmark.implementations(settings)) {
                if (!implementation.name().contains(only)) {
                    continue;
                }
                System.err.printf("  %s ...%n", implementation.name());
                try {
                    scores.addAll(implementation.measure(lab));
                } catch (Unavailable e) {
                    missing.put(implementation.name(), e.getMessage());
                    failed |= implementation.role() == Role.OURS;
                }
            }
            List<Row> ofCase = Row.of(benchmark, scores);
            new Table(System.out).print(ofCase, missing);
            rows.addAll(ofCase);
        }
        System.out.println(
                "Ratios say how many times as fast: as the fastest peer of the group, as its limit; more than 1 is"
                        + " faster.");
        if (quick) {
            System.out.println("This was a smoke run (--quick): the figures say little.");
        }
        if (json != null) {
            new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValue(json.toFile(), rows);
        }
        if (chart != null) {
            Chart.write(chart, rows, Machine.describe());
        }
        return failed ? 1 : 0;
    }

    private void requireFolder(String option, Path file) {
        if (file != null && !Files.isDirectory(file.toAbsolutePath().getParent())) {
            throw new ParameterException(spec.commandLine(), "no folder for " + option + " " + file);
        }
    }

    private Collection<Case> cases() {
        Map<String, Case> known = Arrays.stream(Case.values()).collect(Collectors.toMap(c -> c.id, c -> c));
        Set<Case> cases = new LinkedHashSet<>();
        for (String name : names) {
            if (!known.containsKey(name)) {
                throw new ParameterException(
                        spec.commandLine(),
                        "no benchmark " + name + ": there are " + String.join(", ", Case.ids()) + ", and soak");
            }
            cases.add(known.get(name));
        }
        return cases.isEmpty()
                ? Arrays.stream(Case.values())
                        .filter(benchmark -> benchmark != Case.GPU)
                        .toList()
                : cases;
    }

    private void prepare(Case benchmark, Settings settings) throws IOException {
        // Called here first, so that a library that is missing says so itself, and not from within a fork's log.
        NativeLibraries.torch();
        NativeLibraries.lance();
        String input =
                switch (benchmark) {
                    case OP, COLLECTIVES, STEP -> null;
                    case GPU -> {
                        Device.cuda(0).require();
                        yield null;
                    }
                    case SCAN, TAKE -> Inputs.makeVectors(settings.folder());
                    case DECODE, BATCH -> {
                        String photos = Inputs.makePhotos(settings.folder(), inputs.photos());
                        String uri = settings.folder().resolve("photos.lance").toString();
                        Inputs.makeFiles(uri, Inputs.IMAGE, settings.folder().resolve("photos"));
                        yield photos;
                    }
                    case LOADER, CACHED, START -> {
                        String images = inputs.makeImages(settings);
                        int files = Inputs.makeFiles(
                                settings.dataset(),
                                settings.column(),
                                settings.files().getParent());
                        yield String.format(
                                Locale.ROOT, "%s; %,d of them as files, for who reads files", images, files);
                    }
                };
        if (input != null) {
            System.out.println("  " + input);
        }
    }
}
