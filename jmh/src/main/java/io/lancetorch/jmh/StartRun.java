package io.lancetorch.jmh;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Seconds from the start of a process to its first line of output, which it prints when it has its first batch; the median
 * of several runs, after one that brings its files into the page cache.
 */
record StartRun(String name, Role role, Program program) implements Implementation {
    private static final int RUNS = 5;

    /** The command that starts it. */
    interface Program {
        List<String> command(Lab lab) throws IOException, InterruptedException, Unavailable;
    }

    @Override
    public List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable {
        List<String> command = program.command(lab);
        lab.secondsToFirstLine(lab.log(name), command);
        List<Double> seconds = new ArrayList<>();
        for (int run = 0; run < (lab.settings().quick() ? 1 : RUNS); run++) {
            seconds.add(lab.secondsToFirstLine(lab.log(name), command));
        }
        Collections.sort(seconds);
        return List.of(new Score(name, role, "", seconds.get(seconds.size() / 2), "s"));
    }
}
