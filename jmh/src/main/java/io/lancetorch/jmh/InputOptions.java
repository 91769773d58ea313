package io.lancetorch.jmh;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.lance.LanceDataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Spec.Target;

/** The options that say what is read, of {@code bench} and of {@code bench soak}. */
final class InputOptions {
    private static final int MOST_PIXELS = 4096;

    @Spec(Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description = "where inputs and logs are kept; 700 MB, and 8 GB more with --with-python"
                    + " (default: lancetorch/bench in $$XDG_CACHE_HOME or ~/.cache)")
    private Path folder = cache().resolve("lancetorch/bench");

    @Option(
            names = "--photos",
            paramLabel = "DIR",
            description =
                    "photographs (*.jpg) to make the JPEGs of (default: ../shared/data/clothing beside the repository"
                            + " where that is there, else generated ones)")
    private Path photos;

    @Option(
            names = "--dataset",
            paramLabel = "DIR",
            description =
                    "a Lance dataset of your own for loader, cached, start and soak; labels are in its column label")
    private String dataset;

    @Option(
            names = "--column",
            paramLabel = "NAME",
            description = "its column of JPEGs and PNGs (default: ${DEFAULT-VALUE})")
    private String column = Inputs.IMAGE;

    @Option(names = "--threads", paramLabel = "N", description = "their most decoding threads (default: the cores)")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Option(
            names = "--image-size",
            paramLabel = "S",
            description = "the side of their images in pixels (default: ${DEFAULT-VALUE})")
    private int imageSize = 224;

    @Option(names = "--batch-size", paramLabel = "B", description = "the rows of their batches (default: 64; soak: 4)")
    private Integer batchSize;

    private static Path cache() {
        String cache = System.getenv("XDG_CACHE_HOME");
        return cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
    }

    /** Refuses what cannot be. */
    void check() {
        if (photos != null && !Files.isDirectory(photos)) {
            refuse("no folder " + photos + " for --photos");
        }
        if (threads < 1 || threads > 1024) {
            refuse("--threads " + threads + ": from 1 to 1024");
        }
        if (imageSize < 1 || imageSize > MOST_PIXELS) {
            refuse("--image-size " + imageSize + ": from 1 to " + MOST_PIXELS);
        }
        if (batchSize != null && (batchSize < 1 || batchSize > 65_536)) {
            refuse("--batch-size " + batchSize + ": from 1 to 65536");
        }
    }

    private void refuse(String message) {
        throw new ParameterException(spec.commandLine(), message);
    }

    /** Whether an option was given, by its name. */
    boolean given(String option) {
        return spec.commandLine().getParseResult().hasMatchedOption(option);
    }

    Settings settings(boolean quick, int defaultBatchSize) throws IOException {
        Path absolute = folder.toAbsolutePath().normalize();
        Files.createDirectories(absolute);
        return new Settings(
                root(),
                absolute,
                dataset == null ? Inputs.images(absolute) : dataset,
                Inputs.files(absolute.resolve(dataset == null ? "images" : "dataset")),
                column,
                threads,
                imageSize,
                batchSize == null ? defaultBatchSize : batchSize,
                quick);
    }

    private static Path root() {
        return Path.of(System.getProperty("lancetorch.root", "")).toAbsolutePath();
    }

    Path photos() {
        Path shared = root().resolve("../shared/data/clothing");
        return photos != null ? photos : Files.isDirectory(shared) ? shared : null;
    }

    /** Makes the images of the loader where none were named. Returns what they are, in words. */
    String makeImages(Settings settings) throws IOException {
        if (dataset == null) {
            return Inputs.makeImages(settings.folder(), photos());
        }
        try (LanceDataset opened = LanceDataset.open(dataset)) {
            if (!opened.schema().names().contains(column)) {
                throw new NotFoundException("no column " + column + " in " + dataset + ": there are "
                        + opened.schema().names() + "; name one with --column");
            }
            long rows = opened.countRows();
            if (rows < settings.batchSize()) {
                throw new NotFoundException(
                        dataset + " has " + rows + " rows, fewer than a batch of " + settings.batchSize());
            }
            return String.format(java.util.Locale.ROOT, "%,d rows of %s", rows, dataset);
        }
    }
}
