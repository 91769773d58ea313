package io.lancetorch.jmh;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** {@link GpuFigures} in a process of its own. */
record GpuRun(String name) implements Implementation {
    @Override
    public Role role() {
        return Role.OURS;
    }

    @Override
    public List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable {
        List<String> arguments = lab.settings().quick() ? List.of("--quick") : List.of();
        List<Score> scores = new ArrayList<>();
        for (Command.Line line : lab.lines(
                lab.log(name),
                lab.javaCommand(JmhRun.ClassPath.OURS, List.of(), GpuFigures.class.getName(), arguments))) {
            if (line.text().startsWith("{")) {
                scores.add(PythonRun.score(line.text()));
            }
        }
        return scores;
    }
}
