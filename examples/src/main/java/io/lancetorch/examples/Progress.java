package io.lancetorch.examples;

import java.io.Console;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** A progress bar on a terminal, and nothing where the output goes elsewhere. */
final class Progress implements AutoCloseable {
    private final ProgressBar bar;

    Progress(String task, String unit, long total, boolean shown) {
        Console console = System.console();
        boolean terminal = console != null && console.isTerminal();
        bar = shown && terminal
                ? new ProgressBarBuilder()
                        .setTaskName(task)
                        .setUnit(unit, 1)
                        .setInitialMax(total)
                        .setStyle(ProgressBarStyle.ASCII)
                        .setUpdateIntervalMillis(200)
                        .build()
                : null;
    }

    void stepTo(long done) {
        if (bar != null) {
            bar.stepTo(done);
        }
    }

    void message(String message) {
        if (bar != null) {
            bar.setExtraMessage(" " + message);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
