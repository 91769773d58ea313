package io.lancetorch.examples;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Model.UsageMessageSpec;

/** What help says of each command beside its options: examples, exit status and variables, in the sections of a man page. */
final class Manual {
    private static final int WIDTH = 100;

    private static final Map<String, List<String>> EXAMPLES = Map.ofEntries(
            Map.entry("build", List.of("./lancetorch build", "./lancetorch build --libtorch /opt/libtorch")),
            Map.entry(
                    "create-dataset",
                    List.of(
                            "./lancetorch create-dataset photos/ photos.lance",
                            "./lancetorch create-dataset --images 1000 drawings.lance",
                            "./lancetorch create-dataset --fragment-size 1000 photos/ s3://bucket/photos.lance")),
            Map.entry(
                    "train",
                    List.of(
                            "./lancetorch train",
                            "./lancetorch train photos.lance --epochs 10 --val-fraction 0.1 --save model.pt",
                            "./lancetorch train photos.lance --checkpoint run/ --elastic --max-restarts 3",
                            "torchrun --no-python --nproc-per-node 2 ./lancetorch train photos.lance")),
            Map.entry(
                    "inspect",
                    List.of(
                            "./lancetorch inspect photos.lance --ranks 16",
                            "./lancetorch inspect photos.lance --contact-sheet photos.png --images 64",
                            "./lancetorch inspect s3://bucket/photos.lance --json")),
            Map.entry("track", List.of("./lancetorch track run/mlflow-unsent-1.jsonl")),
            Map.entry("report", List.of("./lancetorch report run/ -o report.html")),
            Map.entry(
                    "launch", List.of("./lancetorch launch --nproc-per-node 2 -- java -jar trainer.jar photos.lance")),
            Map.entry(
                    "plan",
                    List.of(
                            "./lancetorch plan --rows 1e9 --fragments 1e5 --ranks 1024",
                            "./lancetorch plan photos.lance --ranks 8 --all-ranks")),
            Map.entry("test", List.of("./lancetorch test", "./lancetorch test --soak=300")),
            Map.entry("site", List.of("./lancetorch site")),
            Map.entry(
                    "bench",
                    List.of("./lancetorch bench loader --with-python", "./lancetorch bench op --chart op.svg")),
            Map.entry("completion", List.of("source <(./lancetorch completion)")),
            Map.entry("help", List.of("./lancetorch help train")));

    private static final String JDK = "JAVA_HOME: the JDK, 25 or later";
    private static final String CACHE =
            "XDG_CACHE_HOME: where things are kept between runs, in lancetorch/ (default: ~/.cache)";
    private static final String RANKS = "RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT: which rank this is";
    private static final String STORE =
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and such: for object stores";

    private static final List<String> OF_ALL = List.of(
            JDK,
            "LANCETORCH_LIBTORCH: a libtorch, instead of the JavaCPP presets' own",
            "LANCETORCH_NATIVE: the folder of the native libraries, instead of build/native/lib",
            "LANCETORCH_JAVA_OPTIONS: more options of the JVM",
            "LANCETORCH_TRACE: where set, failures come with a stack trace",
            "NO_COLOR: where set, nothing is coloured");

    private static final Map<String, List<String>> VARIABLES = Map.of(
            "build",
            List.of(JDK, "CARGO_TARGET_DIR: where Rust builds (default: lancetorch/cargo in the cache folder)", CACHE),
            "create-dataset",
            List.of(STORE),
            "train",
            List.of(RANKS, STORE, CACHE, "OMP_NUM_THREADS: threads of libtorch (default: cores / ranks)"),
            "launch",
            List.of("OMP_NUM_THREADS: threads of each rank (default: cores / ranks)"),
            "plan",
            List.of(STORE),
            "inspect",
            List.of(STORE),
            "test",
            List.of(
                    "LANCETORCH_PYTHON: a Python with torch 2.10, for the tests that need one",
                    "LANCETORCH_ADVISORIES: where 1, look Rust's security advisories up",
                    CACHE),
            "bench",
            List.of(CACHE));

    private Manual() {}

    /** Gives all commands below {@code root} their sections. */
    static void apply(CommandLine root) {
        root.setUsageHelpWidth(WIDTH);
        root.getSubcommands().forEach((name, command) -> {
            sections(command.getCommandSpec().usageMessage(), name);
            command.getSubcommands()
                    .values()
                    .forEach(below -> headings(below.getCommandSpec().usageMessage()));
        });
    }

    /** Its examples, as a shell takes them; none for a command that the manual does not know. */
    static List<String> examples(String command) {
        return EXAMPLES.getOrDefault(command, List.of());
    }

    private static void headings(UsageMessageSpec usage) {
        usage.synopsisHeading("Synopsis%n  ");
        usage.descriptionHeading("%nDescription%n");
        usage.parameterListHeading("%nArguments%n");
        usage.optionListHeading("%nOptions%n");
        usage.commandListHeading("%nCommands%n");
    }

    private static void sections(UsageMessageSpec usage, String name) {
        headings(usage);
        Map<String, String> status = new LinkedHashMap<>();
        status.put("0", "done");
        status.put(
                "1", "failed, and said why" + (isOfRanks(name) ? "; or the status of the rank that failed first" : ""));
        status.put("2", "wrong use: an option or argument that cannot be");
        usage.exitCodeListHeading("%nExit status%n");
        usage.exitCodeList(status);
        List<String> footer = new ArrayList<>();
        if (!examples(name).isEmpty()) {
            footer.add("");
            footer.add("Examples");
            examples(name).forEach(example -> footer.add("  " + example));
        }
        footer.add("");
        footer.add("Environment");
        VARIABLES.getOrDefault(name, List.of()).forEach(variable -> footer.add("  " + variable));
        OF_ALL.stream()
                .filter(variable -> !VARIABLES.getOrDefault(name, List.of()).contains(variable))
                .forEach(variable -> footer.add("  " + variable));
        usage.footer(footer.toArray(String[]::new));
    }

    private static boolean isOfRanks(String name) {
        return name.equals("train") || name.equals("launch");
    }
}
