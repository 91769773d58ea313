package io.lancetorch.jmh;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;

/**
 * A JMH benchmark method with its parameters, in a fork with pinned flags. {@code scale}: what the method's score is
 * multiplied by, to be in {@code unit}.
 */
record JmhRun(
        String name,
        Role role,
        String group,
        String unit,
        double scale,
        ClassPath classPath,
        String benchmark,
        String method,
        Map<String, String> parameters,
        List<String> jvmArguments,
        List<Secondary> secondaries)
        implements Implementation {

    /** Whose classes a fork has; no two libtorchs or Lances that could meet. */
    enum ClassPath {
        OURS,
        PEERS
    }

    /** Another figure of the same run, which a profiler of JMH's gives. */
    record Secondary(String result, String suffix, String group, String unit, DoubleUnaryOperator conversion) {}

    static JmhRun ours(String name, Role role, String unit, Class<?> benchmark, String method) {
        return new JmhRun(
                name, role, "", unit, 1, ClassPath.OURS, benchmark.getName(), method, Map.of(), List.of(), List.of());
    }

    /** {@code benchmark}: a class of jmh/peers. */
    static JmhRun peer(String name, Role role, String unit, String benchmark, String method) {
        return new JmhRun(
                name,
                role,
                "",
                unit,
                1,
                ClassPath.PEERS,
                "io.lancetorch.jmh.peers." + benchmark,
                method,
                Map.of(),
                List.of(),
                List.of());
    }

    JmhRun group(String group) {
        return new JmhRun(
                name, role, group, unit, scale, classPath, benchmark, method, parameters, jvmArguments, secondaries);
    }

    JmhRun scaledBy(double scale) {
        return new JmhRun(
                name, role, group, unit, scale, classPath, benchmark, method, parameters, jvmArguments, secondaries);
    }

    JmhRun with(String parameter, Object value) {
        Map<String, String> more = new LinkedHashMap<>(parameters);
        more.put(parameter, value.toString());
        return new JmhRun(
                name, role, group, unit, scale, classPath, benchmark, method, more, jvmArguments, secondaries);
    }

    JmhRun jvm(String... arguments) {
        return new JmhRun(
                name,
                role,
                group,
                unit,
                scale,
                classPath,
                benchmark,
                method,
                parameters,
                List.of(arguments),
                secondaries);
    }

    JmhRun also(Secondary secondary) {
        List<Secondary> more = new ArrayList<>(secondaries);
        more.add(secondary);
        return new JmhRun(name, role, group, unit, scale, classPath, benchmark, method, parameters, jvmArguments, more);
    }

    @Override
    public List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable {
        Path log = lab.log(name);
        Path json = lab.log(name + ".json");
        List<String> arguments = new ArrayList<>(List.of(
                "^" + benchmark.replace(".", "\\.") + "\\." + method + "$",
                "-foe",
                "true",
                "-rf",
                "json",
                "-rff",
                json.toString()));
        if (!secondaries.isEmpty()) {
            arguments.addAll(List.of("-prof", "gc", "-prof", CpuProfiler.class.getName()));
        }
        parameters.forEach((parameter, value) -> arguments.addAll(List.of("-p", parameter + "=" + value)));
        if (lab.settings().quick()) {
            arguments.addAll(List.of("-f", "1", "-wi", "1", "-w", "200ms", "-i", "1", "-r", "500ms"));
        }
        // The forks take over the flags of the JVM that starts them.
        lab.logged(log, lab.javaCommand(classPath, jvmArguments, "org.openjdk.jmh.Main", arguments));
        return scores(new ObjectMapper().readTree(json.toFile()).get(0));
    }

    List<Score> scores(JsonNode result) {
        JsonNode primary = result.get("primaryMetric");
        List<Score> scores = new ArrayList<>();
        double error = primary.get("scoreError").asDouble(Double.NaN);
        scores.add(new Score(name, role, group, primary.get("score").asDouble() * scale, error * scale, unit));
        for (Secondary secondary : secondaries) {
            double score = result.get("secondaryMetrics")
                    .get(secondary.result())
                    .get("score")
                    .asDouble();
            scores.add(new Score(
                    name + secondary.suffix(),
                    role,
                    secondary.group(),
                    secondary.conversion().applyAsDouble(score),
                    secondary.unit()));
        }
        return scores;
    }
}
