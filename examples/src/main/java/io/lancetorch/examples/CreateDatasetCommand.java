package io.lancetorch.examples;

import io.lancetorch.distributed.RankEnvironment;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Writes images of a folder, or the built-in ones, to a Lance dataset. */
@Command(
        name = "create-dataset",
        mixinStandardHelpOptions = true,
        description = "Writes images to a Lance dataset with the columns image (binary) and label (int64); the class"
                + " names are in the schema's metadata, under \"classes\", as a JSON list.")
final class CreateDatasetCommand implements Callable<Integer> {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Parameters(
            paramLabel = "[SRC] OUT",
            hideParamSyntax = true,
            arity = "1..2",
            description = "SRC: a folder <class>/<image>.jpg, or Food-101's archive (images/, meta/); without it, the"
                    + " built-in set of drawings. OUT: the dataset to write, a path or a URI.")
    private List<String> paths;

    @Mixin
    private final StorageOptions storage = new StorageOptions();

    @Option(
            names = "--fragment-size",
            paramLabel = "ROWS",
            defaultValue = "12500",
            description = "Rows of a fragment (default: ${DEFAULT-VALUE}).")
    private long fragmentSize;

    @Option(
            names = "--split",
            paramLabel = "NAME",
            defaultValue = "train",
            description = "For Food-101: train or test (default: ${DEFAULT-VALUE}).")
    private String split;

    @Option(
            names = "--seed",
            defaultValue = "0",
            description = "Of the order of the images (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--no-shuffle", description = "Write the images in the order of their names, class after class.")
    private boolean noShuffle;

    @Option(names = "--overwrite", description = "Write a new version where a dataset is there already.")
    private boolean overwrite;

    @Option(
            names = "--images",
            paramLabel = "N",
            defaultValue = "5000",
            description = "How many of the built-in drawings (default: ${DEFAULT-VALUE}).")
    private int images;

    @Option(
            names = "--processes",
            paramLabel = "N",
            defaultValue = "1",
            description =
                    "Processes of this machine that write at once, each its part of the images, with one commit at the end"
                            + " (default: ${DEFAULT-VALUE}). Under launch or torchrun, each rank is such a process, on any machine.")
    private int processes;

    @Override
    public Integer call() throws InterruptedException {
        if (fragmentSize < 1 || images < 1 || processes < 1) {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "--fragment-size, --images and --processes must be 1 or more");
        }
        try {
            if (processes > 1 && !RankEnvironment.isSet()) {
                return new LocalLauncher(0).run(processes, OwnCommand.of(spec));
            }
            var creation = new DatasetCreation(source(), paths.getLast(), storage.options, fragmentSize, overwrite);
            if (RankEnvironment.isSet()) {
                creation.writeShare(RankEnvironment.read());
            } else {
                creation.write();
            }
            return 0;
        } catch (IOException e) {
            throw new UserException(e.toString());
        }
    }

    private ImageSource source() throws IOException {
        if (paths.size() == 1) {
            return new ShapesSource(images, seed);
        }
        ImageSource.FileSource files = ImageSource.open(Path.of(paths.getFirst()), split);
        return noShuffle ? files : files.shuffled(seed);
    }
}
