package io.lancetorch.jmh;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * What the libraries below do alone: the Rust program of native/lance/examples/limits.rs. {@code scale}: what its score is
 * multiplied by, to be in {@code unit}.
 */
record LimitRun(String name, Role role, String group, String unit, double scale, List<String> arguments)
        implements Implementation {

    static LimitRun of(String name, String group, String unit, double scale, Object... arguments) {
        List<String> texts = new ArrayList<>();
        for (Object argument : arguments) {
            texts.add(argument.toString());
        }
        return new LimitRun(name, Role.LIMIT, group, unit, scale, texts);
    }

    LimitRun toCompare() {
        return new LimitRun(name, Role.TO_COMPARE, group, unit, scale, arguments);
    }

    @Override
    public List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable {
        List<String> command = new ArrayList<>(arguments);
        if (lab.settings().quick()) {
            command.addAll(List.of("--seconds", "0.3", "--runs", "1"));
        }
        String line = lab.limits(lab.log(name), command);
        double score = new ObjectMapper().readTree(line).get("score").asDouble();
        return List.of(new Score(name, role, group, score * scale, unit));
    }
}
