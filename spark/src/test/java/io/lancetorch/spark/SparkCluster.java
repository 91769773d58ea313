package io.lancetorch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;

/**
 * A real standalone cluster on this machine: a master and workers in JVMs of their own, each of which is another host, since all
 * of 127.0.0.0/8 is this machine. Workers start executors, and these the ranks.
 */
final class SparkCluster implements AutoCloseable {
    private static final Path ROOT = Path.of(System.getProperty("lancetorch.root"));
    private static final long PATIENCE_SECONDS = 120;

    private final Path folder;
    private final Path home;
    private final Path javaHome;
    private final String master;
    private final List<Process> processes = new ArrayList<>();
    private final Map<String, Process> workers = new LinkedHashMap<>();

    /** What a driver has printed, and its exit status. */
    record Result(int status, String output) {}

    /** All of it runs on the Java at {@code javaHome}. */
    SparkCluster(Path folder, Path javaHome) throws IOException, InterruptedException {
        this.folder = folder;
        this.javaHome = javaHome;
        home = ROOT.resolve("spark/target/spark-home");
        Path jars = Files.createDirectories(home.resolve("jars"));
        for (String jar : Files.readString(ROOT.resolve("spark/target/spark-classpath"))
                .strip()
                .split(File.pathSeparator)) {
            Path link = jars.resolve(Path.of(jar).getFileName());
            if (!Files.isSymbolicLink(link)) {
                Files.createSymbolicLink(link, Path.of(jar));
            }
        }
        jar(ourJar(), ROOT.resolve("spark/target/classes"));
        jar(testJar(), ROOT.resolve("spark/target/test-classes"));
        jar(apiJar(), ROOT.resolve("java-api/target/classes"));
        Path log = folder.resolve("master.log");
        start(
                "127.0.0.1",
                log,
                "org.apache.spark.deploy.master.Master",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--webui-port",
                "0");
        master = awaitLine(log, Pattern.compile("Starting Spark master at (spark://\\S+)"));
    }

    private Path ourJar() {
        return folder.resolve("lancetorch-spark.jar");
    }

    private Path testJar() {
        return folder.resolve("tests.jar");
    }

    /** What the signatures of a test's own classes name. */
    private Path apiJar() {
        return folder.resolve("lancetorch.jar");
    }

    private static void jar(Path file, Path classes) throws IOException {
        try (var jar = new JarOutputStream(Files.newOutputStream(file));
                Stream<Path> found = Files.walk(classes)) {
            for (Path path : found.filter(Files::isRegularFile).toList()) {
                jar.putNextEntry(new JarEntry(classes.relativize(path).toString()));
                Files.copy(path, jar);
            }
        }
    }

    /** Starts a worker of two cores on the host of that address, and waits until the master knows it. */
    void startWorker(String host) throws IOException, InterruptedException {
        Path log = folder.resolve("worker-" + host + ".log");
        Files.deleteIfExists(log);
        workers.put(
                host,
                start(
                        host,
                        log,
                        "org.apache.spark.deploy.worker.Worker",
                        "--host",
                        host,
                        "--cores",
                        "2",
                        "--memory",
                        "2g",
                        "--webui-port",
                        "0",
                        "--work-dir",
                        folder.resolve("work-" + host).toString(),
                        master));
        awaitLine(log, Pattern.compile("(Successfully registered with master)"));
    }

    private Process start(String host, Path log, String... command) throws IOException {
        Process process = builder(host, List.of("-Xmx256m"), List.of(command))
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        processes.add(process);
        return process;
    }

    private ProcessBuilder builder(String host, List<String> options, List<String> command) {
        List<String> all = new ArrayList<>();
        all.add(javaHome.resolve("bin/java").toString());
        all.addAll(List.of(JavaModuleOptions.defaultModuleOptionArray()));
        all.addAll(options);
        all.add("-classpath");
        all.add(home.resolve("jars") + "/*");
        all.addAll(command);
        var builder = new ProcessBuilder(all).directory(folder.toFile());
        builder.environment().keySet().removeIf(name -> name.startsWith("SPARK_") || name.equals("CLASSPATH"));
        builder.environment()
                .putAll(Map.of(
                        "SPARK_HOME",
                        home.toString(),
                        "SPARK_SCALA_VERSION",
                        "2.13",
                        "SPARK_LOCAL_IP",
                        host,
                        "JAVA_HOME",
                        javaHome.toString(),
                        "OMP_NUM_THREADS",
                        "1"));
        return builder;
    }

    private String awaitLine(Path log, Pattern pattern) throws IOException, InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (true) {
            String text = Files.exists(log) ? Files.readString(log) : "";
            Matcher matcher = pattern.matcher(text);
            if (matcher.find()) {
                return matcher.group(1);
            }
            assertThat(System.nanoTime()).as("%s: %s", log, text).isLessThan(deadline);
            Thread.sleep(50);
        }
    }

    /** Runs the main class of {@link LanceTorchSubmit} as a driver of spark-submit. */
    Driver submit(Map<String, String> conf, String... arguments) throws IOException {
        return submit(LanceTorchSubmit.class.getName(), ourJar(), List.of(), conf, arguments);
    }

    /** Runs a driver of the tests. */
    Driver drive(Class<?> main, Map<String, String> conf, String... arguments) throws IOException {
        return submit(main.getName(), testJar(), List.of("--jars", ourJar() + "," + apiJar()), conf, arguments);
    }

    private Driver submit(String main, Path jar, List<String> jars, Map<String, String> conf, String... arguments)
            throws IOException {
        List<String> command =
                new ArrayList<>(List.of("org.apache.spark.deploy.SparkSubmit", "--master", master, "--class", main));
        command.addAll(jars);
        Map<String, String> all = new LinkedHashMap<>(Map.of(
                "spark.driver.host", "127.0.0.1",
                "spark.executor.memory", "512m",
                "spark.executor.cores", "1",
                "spark.cores.max", "2",
                "spark.ui.enabled", "false",
                "spark.lancetorch.classPath", RankPrograms.classPath(),
                "spark.lancetorch.javaHome", System.getProperty("java.home"),
                "spark.lancetorch.javaOptions", "-Dlancetorch.native=" + System.getProperty("lancetorch.native")));
        all.putAll(conf);
        all.forEach((name, value) -> {
            if (!value.isEmpty()) {
                command.addAll(List.of("--conf", name + "=" + value));
            }
        });
        command.add(jar.toString());
        command.addAll(List.of(arguments));
        return new Driver(builder("127.0.0.1", List.of("-Xmx512m"), command)
                .redirectErrorStream(true)
                .start());
    }

    /** The ranks that run now, of all workers. */
    List<ProcessHandle> ranks() {
        return processes.stream()
                .flatMap(Process::descendants)
                .filter(process -> runs(process, RankProcess.class.getName()))
                .toList();
    }

    private static boolean runs(ProcessHandle process, String name) {
        try {
            // ProcessHandle knows no command line as long as these.
            String command = Files.readString(
                    Path.of("/proc", Long.toString(process.pid()), "cmdline"), StandardCharsets.ISO_8859_1);
            return List.of(command.split("\0")).contains(name);
        } catch (IOException e) {
            return false; // it has ended
        }
    }

    /** Ends the executors of a worker by SIGKILL. */
    void killExecutors(String host) {
        List<ProcessHandle> executors = workers.get(host)
                .descendants()
                .filter(process -> runs(process, "org.apache.spark.executor.CoarseGrainedExecutorBackend"))
                .toList();
        assertThat(executors).isNotEmpty();
        executors.forEach(ProcessHandle::destroyForcibly);
    }

    /** Ends a worker by SIGKILL; its executors find out by themselves. */
    void killWorker(String host) {
        workers.remove(host).destroyForcibly();
    }

    @Override
    public void close() {
        for (Process process : processes) {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly().onExit().join();
        }
    }

    /** A driver that runs. */
    static final class Driver implements AutoCloseable {
        private final Process process;
        private final StringBuffer output = new StringBuffer();
        private final Thread reader;

        private Driver(Process process) {
            this.process = process;
            BufferedReader lines = process.inputReader();
            reader = Thread.ofPlatform().daemon().start(() -> lines.lines()
                    .forEach(line -> output.append(line).append('\n')));
        }

        String output() {
            return output.toString();
        }

        boolean isAlive() {
            return process.isAlive();
        }

        /** Waits until it has printed that. */
        void awaitOutput(String text) throws InterruptedException {
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
            while (output.indexOf(text) < 0) {
                assertThat(process.isAlive()).as("%s", output).isTrue();
                assertThat(System.nanoTime()).as("%s", output).isLessThan(deadline);
                Thread.sleep(20);
            }
        }

        /** Gives it a byte of input. */
        void poke() throws IOException {
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
        }

        Result await() throws InterruptedException {
            assertThat(process.waitFor(4, TimeUnit.MINUTES)).as("%s", output).isTrue();
            reader.join();
            return new Result(process.exitValue(), output.toString());
        }

        /** Ends it by SIGKILL. */
        @Override
        public void close() {
            process.destroyForcibly();
        }
    }
}
