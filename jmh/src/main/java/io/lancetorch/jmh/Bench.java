package io.lancetorch.jmh;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.error.LanceTorchException;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Makes the benchmarks' inputs, runs each implementation in forked JVMs with pinned flags, and compares the figures. */
@Command(
        name = "bench",
        description = "Runs benchmarks, each beside its peer and its limit. Leave the machine alone meanwhile.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class Bench implements Callable<Integer> {
    /** Of every fork, ours and peers' alike. A small serial heap: what is measured is outside of it. */
    private static final List<String> JVM_ARGUMENTS = List.of(
            "-Xms1g",
            "-Xmx1g",
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow");

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "CASE", arity = "0..*", description = "op, scan or decode; none: all of them")
    private List<String> names = List.of();

    @Option(names = "--json", paramLabel = "FILE", description = "also write the figures there, as a list of objects")
    private Path json;

    @Option(names = "--quick", description = "one short iteration each: shows that all runs, the figures say little")
    private boolean quick;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description =
                    "where inputs and logs are kept; 320 MB (default: lancetorch/bench in $$XDG_CACHE_HOME or ~/.cache)")
    private Path folder = cache().resolve("lancetorch/bench");

    @Option(
            names = "--photos",
            paramLabel = "DIR",
            description = "photographs (*.jpg) for decode (default: ../shared/data/clothing beside the repository where"
                    + " that is there, else generated ones)")
    private Path photos;

    private Bench() {}

    private static Path cache() {
        String cache = System.getenv("XDG_CACHE_HOME");
        return cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
    }

    public static void main(String[] arguments) {
        System.exit(run(System.err, arguments));
    }

    /** Returns the exit status; what goes wrong is said to {@code messages}. */
    static int run(PrintStream messages, String... arguments) {
        var commandLine = new CommandLine(new Bench());
        commandLine.setErr(new PrintWriter(messages, true));
        commandLine.setExecutionExceptionHandler((e, command, _) -> {
            if (e instanceof LanceTorchException || e instanceof IOException || e instanceof RunnerException) {
                command.getErr().println("bench: " + e.getMessage());
                return 1;
            }
            throw e;
        });
        return commandLine.execute(arguments);
    }

    @Override
    public Integer call() throws IOException, RunnerException {
        Collection<Case> cases = cases();
        if (photos != null && !Files.isDirectory(photos)) {
            throw new ParameterException(spec.commandLine(), "no folder " + photos + " for --photos");
        }
        if (json != null && !Files.isDirectory(json.toAbsolutePath().getParent())) {
            throw new ParameterException(spec.commandLine(), "no folder for --json " + json);
        }
        Files.createDirectories(folder);
        List<Row> rows = new ArrayList<>();
        for (Case benchmark : cases) {
            System.out.println(benchmark.id + ": " + benchmark.title);
            prepare(benchmark);
            List<Row.Score> scores = new ArrayList<>();
            for (Case.Implementation implementation : benchmark.implementations) {
                System.err.printf("  %s ...%n", implementation.name());
                scores.add(measure(benchmark, implementation));
            }
            List<Row> ofCase = Row.of(benchmark, scores);
            print(ofCase);
            rows.addAll(ofCase);
        }
        System.out.println(
                "Ratios say how many times as fast: as the fastest peer, as the limit; more than 1 is faster.");
        if (quick) {
            System.out.println("This was a smoke run (--quick): the figures say little.");
        }
        if (json != null) {
            new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValue(json.toFile(), rows);
        }
        return 0;
    }

    private Collection<Case> cases() {
        Map<String, Case> known = Arrays.stream(Case.values()).collect(Collectors.toMap(c -> c.id, c -> c));
        Set<Case> cases = new LinkedHashSet<>();
        for (String name : names) {
            if (!known.containsKey(name)) {
                throw new ParameterException(
                        spec.commandLine(), "no benchmark " + name + ": there are op, scan and decode");
            }
            cases.add(known.get(name));
        }
        return cases.isEmpty() ? List.of(Case.values()) : cases;
    }

    private void prepare(Case benchmark) throws IOException {
        // Called here first, so that a library that is missing says so itself, and not from within a fork's log.
        NativeLibraries.torch();
        if (benchmark != Case.OP) {
            NativeLibraries.lance();
        }
        String input =
                switch (benchmark) {
                    case OP -> null;
                    case SCAN -> Inputs.makeVectors(folder);
                    case DECODE -> Inputs.makePhotos(folder, photos == null ? defaultPhotos() : photos);
                };
        if (input != null) {
            System.out.println("  " + input);
        }
    }

    private static Path defaultPhotos() {
        Path shared = Path.of(System.getProperty("lancetorch.root", "")).resolve("../shared/data/clothing");
        return Files.isDirectory(shared) ? shared : null;
    }

    private Row.Score measure(Case benchmark, Case.Implementation implementation) throws RunnerException {
        Path log = folder.resolve(benchmark.id + "-" + implementation.name() + ".log");
        ChainedOptionsBuilder options = new OptionsBuilder()
                .include(
                        "^" + benchmark.benchmark.getName().replace(".", "\\.") + "\\." + implementation.method() + "$")
                .jvmArgs(jvmArguments(implementation).toArray(String[]::new))
                .shouldFailOnError(true)
                .output(log.toString());
        if (quick) {
            options.forks(1)
                    .warmupIterations(1)
                    .warmupTime(TimeValue.milliseconds(200))
                    .measurementIterations(1)
                    .measurementTime(TimeValue.milliseconds(500));
        }
        Collection<RunResult> results;
        try {
            results = new Runner(options.build()).run();
        } catch (RunnerException e) {
            throw new RunnerException(
                    benchmark.id + " " + implementation.name() + " failed: " + e.getMessage() + "\n" + text(log), e);
        }
        Result<?> result = results.iterator().next().getPrimaryResult();
        return new Row.Score(implementation, result.getScore(), result.getScoreError());
    }

    private List<String> jvmArguments(Case.Implementation implementation) {
        List<String> arguments = new ArrayList<>(JVM_ARGUMENTS);
        arguments.addAll(implementation.jvmArguments());
        arguments.add("-D" + Inputs.FOLDER + "=" + folder.toAbsolutePath());
        for (String property : List.of("lancetorch.native", "lancetorch.libtorch")) {
            String value = System.getProperty(property);
            if (value != null && !value.isEmpty()) {
                arguments.add("-D" + property + "=" + value);
            }
        }
        return arguments;
    }

    private static String text(Path log) {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void print(List<Row> rows) {
        System.out.printf(Locale.ROOT, "  %-24s %24s %14s %15s%n", "", "", "ratio to peer", "ratio to limit");
        for (Row row : rows) {
            String score = Double.isNaN(row.error())
                    ? String.format(Locale.ROOT, "%.4g %s", row.score(), row.unit())
                    : String.format(Locale.ROOT, "%.4g ± %.2g %s", row.score(), row.error(), row.unit());
            System.out.printf(
                    Locale.ROOT,
                    "  %-24s %24s %14s %15s%n",
                    row.implementation(),
                    score,
                    ratio(row.ratioToPeer()),
                    ratio(row.ratioToLimit()));
        }
    }

    private static String ratio(Double ratio) {
        return ratio == null ? "-" : String.format(Locale.ROOT, "%.2f", ratio);
    }
}
