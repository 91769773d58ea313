package io.lancetorch.jmh;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Where implementations run: the class paths, the programs and the environments, each made at its first use. */
final class Lab {
    /** Of every JVM, ours and peers' alike. A small serial heap: what is measured is outside of it. */
    private static final List<String> JVM_ARGUMENTS = List.of(
            "-Xms1g",
            "-Xmx1g",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "--add-opens=java.base/java.nio=ALL-UNNAMED");

    private static final Map<String, String> ENVIRONMENT = Map.of("PYTHONWARNINGS", "ignore");

    private final Settings settings;
    private final boolean withPython;
    private final PythonEnvironment python;
    private final Map<String, Unavailable> failed = new HashMap<>();
    private String caseId = "";

    Lab(Settings settings, boolean withPython) {
        this.settings = settings;
        this.withPython = withPython;
        python = new PythonEnvironment(settings.root().resolve("jmh/src/main/python"), settings.folder());
    }

    Settings settings() {
        return settings;
    }

    /** Logs are named after the case from here on. */
    void begin(Case benchmark) {
        caseId = benchmark.id;
    }

    Path log(String implementation) {
        String name = caseId + "-" + implementation.replaceAll("[^A-Za-z0-9.]+", "-");
        return settings.folder().resolve(name.endsWith(".json") ? name : name + ".log");
    }

    /** Runs a program to its end. */
    List<Command.Line> lines(Path log, List<String> command) throws IOException, InterruptedException, Unavailable {
        return Command.lines(log, settings.folder(), ENVIRONMENT, command);
    }

    /** Runs a program to its end, whose output is the log. */
    void logged(Path log, List<String> command) throws IOException, InterruptedException, Unavailable {
        Command.logged(log, settings.folder(), ENVIRONMENT, command);
    }

    /** Runs a program until it prints a line. */
    double secondsToFirstLine(Path log, List<String> command) throws IOException, InterruptedException, Unavailable {
        return Command.firstLine(log, settings.folder(), ENVIRONMENT, command).seconds();
    }

    /** The command that starts a JVM. */
    List<String> javaCommand(
            JmhRun.ClassPath classPath, List<String> jvmArguments, String mainClass, List<String> arguments)
            throws IOException, InterruptedException, Unavailable {
        if (classPath == JmhRun.ClassPath.PEERS) {
            once("peers", this::buildPeers);
        }
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
        command.addAll(JVM_ARGUMENTS);
        command.add("-D" + Inputs.FOLDER + "=" + settings.folder());
        command.add("-D" + Inputs.DATASET + "=" + settings.dataset());
        command.add("-D" + Inputs.COLUMN + "=" + settings.column());
        command.add("-D" + Inputs.FILES + "=" + settings.files());
        if (classPath == JmhRun.ClassPath.PEERS) {
            // DJL asks nobody for anything, and leaves a libtorch thread to each of its own.
            command.addAll(List.of("-Dai.djl.offline=true", "-DOPT_OUT_TRACKING=true"));
            command.addAll(List.of("-Dai.djl.pytorch.num_threads=1", "-Dai.djl.pytorch.num_interop_threads=1"));
            command.add("-DDJL_CACHE_DIR=" + settings.folder().resolve("djl"));
        } else {
            for (String property : List.of("lancetorch.native", "lancetorch.libtorch")) {
                String value = System.getProperty(property);
                if (value != null && !value.isEmpty()) {
                    command.add("-D" + property + "=" + value);
                }
            }
        }
        command.addAll(jvmArguments);
        command.addAll(List.of("-cp", classPath(classPath), mainClass));
        command.addAll(arguments);
        return command;
    }

    /** A command of {@link #javaCommand} that starts from a cache of its classes, which is made by running it once. */
    List<String> withAotCache(List<String> command) throws IOException, InterruptedException, Unavailable {
        System.err.println("  making an AOT cache ...");
        return new AotCache(settings.folder().resolve("aot"))
                .command(settings.folder().resolve("aot.log"), command);
    }

    private String classPath(JmhRun.ClassPath which) throws IOException {
        if (which == JmhRun.ClassPath.OURS) {
            return System.getProperty("java.class.path");
        }
        Path target = settings.root().resolve("jmh/peers/target");
        // Ours are there for the profiler alone.
        return String.join(
                File.pathSeparator,
                target.resolve("classes").toString(),
                settings.root().resolve("jmh/target/classes").toString(),
                Files.readString(target.resolve("classpath")).strip());
    }

    private void buildPeers() throws IOException, InterruptedException, Unavailable {
        Path log = settings.folder().resolve("peers.log");
        System.err.println("  resolving and compiling jmh/peers (600 MB at the first time) ...");
        Command.logged(
                log,
                settings.root(),
                Map.of(
                        "MAVEN_OPTS",
                        "--sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED",
                        "JAVA_HOME",
                        System.getProperty("java.home")),
                List.of("mvn", "-B", "-ntp", "-q", "-Pbench-peers", "-pl", "jmh/peers", "process-classes"));
    }

    /** Runs the program of bare limits; returns its line of JSON. */
    String limits(Path log, List<String> arguments) throws IOException, InterruptedException, Unavailable {
        Path limits = settings.root().resolve("build/native/bin/limits");
        once("limits", () -> buildLimits(limits));
        List<String> command = new ArrayList<>();
        command.add(limits.toString());
        command.addAll(arguments);
        return lines(log, command).getLast().text();
    }

    private void buildLimits(Path limits) throws IOException, InterruptedException, Unavailable {
        Path source = settings.root().resolve("native/lance/examples/limits.rs");
        if (Files.exists(limits)
                && Files.getLastModifiedTime(limits).compareTo(Files.getLastModifiedTime(source)) >= 0) {
            return;
        }
        System.err.println("  compiling the bare limits ...");
        Command.logged(
                settings.folder().resolve("limits.log"),
                settings.root(),
                Map.of(),
                List.of("cmake", "--build", "build/native", "--target", "limits"));
    }

    /** The command that runs a script of ours. */
    List<String> pythonCommand(PythonEnvironment.Part part, String script, List<String> arguments)
            throws IOException, InterruptedException, Unavailable {
        if (!withPython) {
            throw new Unavailable("only with --with-python");
        }
        once("python " + part, () -> python.with(part));
        List<String> command = new ArrayList<>();
        command.add(python.with(part).toString());
        command.add(
                settings.root().resolve("jmh/src/main/python").resolve(script).toString());
        command.addAll(arguments);
        if (settings.quick()) {
            command.add("--quick");
        }
        return command;
    }

    private interface Preparation {
        void run() throws IOException, InterruptedException, Unavailable;
    }

    /** What failed once is not tried for each implementation that needs it. */
    private void once(String what, Preparation preparation) throws IOException, InterruptedException, Unavailable {
        if (failed.containsKey(what)) {
            Unavailable reason = failed.get(what);
            if (reason != null) {
                throw reason;
            }
            return;
        }
        try {
            preparation.run();
            failed.put(what, null);
        } catch (Unavailable e) {
            failed.put(what, e);
            throw e;
        }
    }
}
