package io.lancetorch.examples;

import io.lancetorch.tracking.MlflowTracker;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Sends what a tracking server has not taken during a run. */
@Command(
        name = "track",
        mixinStandardHelpOptions = true,
        description =
                "Sends what a tracking server that was away has not taken of a run, from the files that train named, and"
                        + " deletes them.")
final class TrackCommand implements Callable<Integer> {
    @Parameters(paramLabel = "FILE", arity = "1..*", description = "mlflow-unsent-....jsonl, in the run's folder.")
    private List<Path> files;

    @Override
    public Integer call() {
        for (Path file : files) {
            if (!Files.isRegularFile(file)) {
                throw new UserException("no file " + file);
            }
            try {
                System.out.println("sent " + file + ", to the run " + MlflowTracker.send(file, RunTracking::say));
            } catch (IOException e) {
                throw new UserException("cannot send " + file + ", which stays: " + e.getMessage());
            }
        }
        return 0;
    }
}
