package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.RowLogs.Line;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;

/** What the tests of the site's recipes for clusters share. */
final class ClusterRecipe {
    static final int ROWS = 61;
    private static final int EPOCHS = 2;

    private ClusterRecipe() {}

    static Path root() {
        return Path.of(System.getProperty("lancetorch.root"));
    }

    static Path file(String name) {
        return root().resolve("docs/src/site/resources").resolve(name);
    }

    /** A run of some steps in which every row counts once an epoch. */
    static List<String> smallRun(Path rows) {
        return List.of(
                "--epochs=" + EPOCHS,
                "--batch-size=4",
                "--image-size=32",
                "--lr=0.01",
                "--uneven=join",
                "--timeout=60",
                "--log-rows=" + rows);
    }

    static void assertEachRowOnceAnEpoch(List<Line> lines, int worldSize) {
        var steps = RowLogs.last(lines);
        assertThat(steps.values()).allSatisfy(ranks -> assertThat(ranks).hasSize(worldSize));
        var order = RowLogs.order(steps, false);
        assertThat(order).hasSize(EPOCHS);
        order.forEach((epoch, rows) -> {
            assertThat(rows).as("epoch %d", epoch).hasSize(ROWS);
            assertThat(new HashSet<>(rows)).as("epoch %d", epoch).hasSize(ROWS);
        });
    }
}
