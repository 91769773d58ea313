package io.lancetorch.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.lance.LanceDataset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Says what a dataset holds, and shows its first images. */
@Command(
        name = "inspect",
        mixinStandardHelpOptions = true,
        description = "Prints what a dataset holds: columns, fragments and how evenly the samplers deal them to ranks,"
                + " versions, and its size on disk; with --contact-sheet, its first images as a PNG.")
final class InspectCommand implements Runnable {
    private static final int MOST_IMAGES = 1_000;
    private static final int MOST_VERSIONS = 10_000;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Parameters(paramLabel = "DATASET", description = "A path or a URI.")
    private String uri;

    @Mixin
    private final StorageOptions storage = new StorageOptions();

    @Option(
            names = "--ranks",
            paramLabel = "N",
            defaultValue = "8",
            description = "The world size whose shares are compared (default: ${DEFAULT-VALUE}).")
    private int ranks;

    @Option(
            names = "--batch-size",
            paramLabel = "ROWS",
            defaultValue = "64",
            description = "Rows of a step on each rank (default: ${DEFAULT-VALUE}).")
    private int batchSize;

    @Option(
            names = "--versions",
            paramLabel = "N",
            defaultValue = "10",
            description = "How many of the newest versions are told of (default: ${DEFAULT-VALUE}).")
    private int versions;

    @Option(
            names = "--contact-sheet",
            paramLabel = "FILE.png",
            description = "Write the first images there, with their rows and labels.")
    private Path contactSheet;

    @Option(
            names = "--images",
            paramLabel = "N",
            defaultValue = "24",
            description = "How many, up to " + MOST_IMAGES + " (default: ${DEFAULT-VALUE}).")
    private int images;

    @Option(
            names = "--column",
            paramLabel = "NAME",
            defaultValue = DatasetCreation.IMAGE,
            description = "The column that holds them (default: ${DEFAULT-VALUE}).")
    private String column;

    @Option(names = "--json", description = "Print JSON instead, for other programs.")
    private boolean json;

    @Override
    public void run() {
        requireOptions();
        try (LanceDataset dataset = LanceDataset.open(uri, storage.options)) {
            ContactSheet.Written sheet =
                    contactSheet == null ? null : ContactSheet.write(dataset, column, images, contactSheet);
            DatasetSummary summary = DatasetSummary.of(dataset, ranks, batchSize, versions, sheet);
            if (json) {
                System.out.println(
                        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(summary));
            } else {
                SummaryText.print(summary, System.out);
            }
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    private void requireOptions() {
        if (ranks < 1 || batchSize < 1) {
            throw wrongUse("--ranks and --batch-size are 1 or more");
        }
        if (versions < 1 || versions > MOST_VERSIONS) {
            throw wrongUse("--versions is 1 to " + MOST_VERSIONS);
        }
        if (images < 1 || images > MOST_IMAGES) {
            throw wrongUse("--images is 1 to " + MOST_IMAGES);
        }
        if (contactSheet != null) {
            if (!contactSheet.toString().toLowerCase(Locale.ROOT).endsWith(".png")) {
                throw wrongUse("--contact-sheet writes a PNG: its name ends in .png, not " + contactSheet);
            }
            Path folder = contactSheet.toAbsolutePath().getParent();
            if (!Files.isDirectory(folder)) {
                throw new UserException("no folder " + folder + " for the contact sheet " + contactSheet);
            }
        }
    }

    private CommandLine.ParameterException wrongUse(String message) {
        return new CommandLine.ParameterException(spec.commandLine(), message);
    }
}
