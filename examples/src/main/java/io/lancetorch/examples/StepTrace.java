package io.lancetorch.examples;

import io.lancetorch.tensor.Profiler;
import java.nio.file.Path;

/** The profiler around a few steps of an epoch, behind the first ones, in which memory is taken and kernels are chosen. */
final class StepTrace implements AutoCloseable {
    private static final int STEPS = 5;

    private final Path file;
    private final int first;
    private Profiler profiler;

    /** {@code file}: null for none. {@code steps}: of the epoch. */
    StepTrace(Path file, int steps) {
        this.file = file;
        first = steps <= STEPS ? 0 : Math.min(STEPS, steps - STEPS);
    }

    /** Before a step, and with it after the one before. */
    void next(int step) {
        if (file == null) {
            return;
        }
        if (step == first) {
            profiler = Profiler.start();
        } else if (step == first + STEPS) {
            close();
        }
    }

    @Override
    public void close() {
        if (profiler != null) {
            profiler.save(file);
            profiler = null;
            System.out.println("wrote a trace to " + file);
        }
    }
}
