package io.lancetorch.examples;

import io.lancetorch.examples.report.ReportPage;
import io.lancetorch.examples.report.RunRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Writes a page about runs. */
@Command(
        name = "report",
        mixinStandardHelpOptions = true,
        description =
                "Writes one HTML page about runs, which needs nothing beside it: losses, accuracy, throughput and waiting of"
                        + " each rank, the machine's load, held-out images with the model's predictions, parameters.")
final class ReportCommand implements Callable<Integer> {
    @Parameters(
            paramLabel = "RUN",
            arity = "1..*",
            description = "Folders that train --run-dir has written, or files of --track jsonl:FILE.")
    private List<Path> runs;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FILE",
            defaultValue = "report.html",
            description = "The page (default: ${DEFAULT-VALUE}).")
    private Path output;

    @Option(
            names = "--bench",
            paramLabel = "SVG",
            description = "Show this chart too, such as bench --chart writes; can be given several times.")
    private List<Path> benches = List.of();

    @Override
    public Integer call() {
        TrackingOptions.requireParent(output);
        List<RunRecord> records = new ArrayList<>();
        try {
            for (Path run : runs) {
                records.add(RunRecord.read(run));
            }
            for (Path bench : benches) {
                if (!Files.isRegularFile(bench)) {
                    throw new UserException("--bench: no file " + bench);
                }
            }
            Files.writeString(output, ReportPage.of(records, benches));
        } catch (IOException e) {
            throw new UserException("no report: " + e.getMessage());
        } catch (InternalError | NoClassDefFoundError e) {
            // What Java's drawing throws where the system has no fonts.
            throw new UserException(
                    "no report: Java finds no fonts for its charts; install fontconfig and a font, such as"
                            + " fonts-dejavu-core (" + e + ")");
        }
        System.out.println("wrote " + output);
        return 0;
    }
}
