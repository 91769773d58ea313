package io.lancetorch.jmh;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Runs programs, whose standard error, or all output, goes to a log. */
final class Command {
    private static final int LINES_TOLD = 12;
    private static final Pattern ERROR = Pattern.compile("error|exception", Pattern.CASE_INSENSITIVE);

    /** A line of standard output, and the seconds from the start of the process until it came. */
    record Line(String text, double seconds) {}

    private Command() {}

    /** Runs a program to its end; its output is the log. */
    static void logged(Path log, Path directory, Map<String, String> environment, List<String> command)
            throws IOException, InterruptedException, Unavailable {
        ProcessBuilder builder = builder(directory, environment, command).redirectErrorStream(true);
        end(start(builder.redirectOutput(log.toFile())), command, log);
    }

    /** Runs a program to its end, and returns what it printed. */
    static List<Line> lines(Path log, Path directory, Map<String, String> environment, List<String> command)
            throws IOException, InterruptedException, Unavailable {
        List<Line> lines = new ArrayList<>();
        read(log, directory, environment, command, line -> lines.add(line));
        return lines;
    }

    /** Runs a program until it prints a line, and ends it there. */
    static Line firstLine(Path log, Path directory, Map<String, String> environment, List<String> command)
            throws IOException, InterruptedException, Unavailable {
        Line[] first = {null};
        read(log, directory, environment, command, line -> {
            first[0] = line;
            return false;
        });
        if (first[0] == null) {
            throw new Unavailable(Path.of(command.getFirst()).getFileName() + " printed nothing (" + log + ")");
        }
        return first[0];
    }

    private static void read(
            Path log, Path directory, Map<String, String> environment, List<String> command, Predicate<Line> goOn)
            throws IOException, InterruptedException, Unavailable {
        ProcessBuilder builder = builder(directory, environment, command).redirectError(log.toFile());
        long begin = System.nanoTime();
        Process process = start(builder);
        boolean toTheEnd = false;
        try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
            String text = output.readLine();
            while (text != null && goOn.test(new Line(text, (System.nanoTime() - begin) / 1e9))) {
                text = output.readLine();
            }
            toTheEnd = text == null;
        } finally {
            if (!toTheEnd) {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly().waitFor();
            }
        }
        if (toTheEnd) {
            end(process, command, log);
        }
    }

    private static ProcessBuilder builder(Path directory, Map<String, String> environment, List<String> command) {
        var builder = new ProcessBuilder(command).directory(directory.toFile());
        builder.environment().putAll(environment);
        builder.redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
        return builder;
    }

    private static Process start(ProcessBuilder builder) throws Unavailable {
        try {
            return builder.start();
        } catch (IOException e) {
            throw new Unavailable(e.getMessage());
        }
    }

    private static void end(Process process, List<String> command, Path log)
            throws IOException, InterruptedException, Unavailable {
        int status = process.waitFor();
        if (status != 0) {
            throw new Unavailable(Path.of(command.getFirst()).getFileName() + " ended with status " + status + ": "
                    + reason(log) + " (" + log + ")");
        }
    }

    /** Of the last lines of a log, the first that speaks of an error, else the last one. */
    private static String reason(Path log) throws IOException {
        try (Stream<String> lines = Files.lines(log, StandardCharsets.ISO_8859_1)) {
            List<String> told = lines.map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.startsWith("at "))
                    .toList();
            List<String> last = told.subList(Math.max(0, told.size() - LINES_TOLD), told.size());
            return last.stream()
                    .filter(line -> ERROR.matcher(line).find())
                    .findFirst()
                    .or(() -> last.reversed().stream().findFirst())
                    .orElse("it said nothing");
        }
    }
}
