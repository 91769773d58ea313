package io.lancetorch.jmh;

import java.io.IOException;
import java.util.List;

/** Images a second of our loader's first epoch in a new JVM, from the opening of the dataset on. */
record FirstEpochRun(String name, String pixel) implements Implementation {
    @Override
    public Role role() {
        return Role.OURS;
    }

    @Override
    public List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable {
        List<Command.Line> lines = lab.lines(lab.log(name + " first epoch"), Case.firstEpoch(lab, pixel));
        double rate = Double.parseDouble(lines.getLast().text());
        return List.of(new Score(name + " first epoch", role(), pixel + ", first epoch", rate, "images/s"));
    }
}
