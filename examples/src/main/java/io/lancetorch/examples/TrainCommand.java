package io.lancetorch.examples;

import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.data.BadRows;
import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.tracking.MlflowTracker;
import io.lancetorch.tracking.RunStatus;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Trains a ResNet; without RANK, by launching ranks of this very command. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        description =
                "Trains a ResNet on a Lance dataset of images, with ranks that average their gradients. Where RANK is"
                        + " set, as torchrun and launch do, this process is one rank.")
final class TrainCommand implements Callable<Integer> {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Parameters(
            paramLabel = "DATASET",
            arity = "0..1",
            description =
                    "A dataset that create-dataset wrote, a path or a URI; without it, the built-in drawings, made"
                            + " where missing.")
    String dataset;

    @Mixin
    final StorageOptions storage = new StorageOptions();

    @Option(
            names = "--nproc-per-node",
            paramLabel = "N",
            defaultValue = "2",
            description = "Ranks on this machine (default: ${DEFAULT-VALUE}).")
    int processes;

    @Option(
            names = "--model",
            defaultValue = "resnet18",
            description = "resnet18 or resnet50 (default: ${DEFAULT-VALUE}).")
    String model;

    @Option(
            names = "--batch-size",
            paramLabel = "ROWS",
            defaultValue = "64",
            description = "Images of a step on each rank (default: ${DEFAULT-VALUE}).")
    int batchSize;

    @Option(names = "--epochs", defaultValue = "3", description = "(default: ${DEFAULT-VALUE})")
    int epochs;

    @Option(names = "--lr", defaultValue = "0.02", description = "Learning rate (default: ${DEFAULT-VALUE}).")
    double learningRate;

    @Option(names = "--momentum", defaultValue = "0.9", description = "(default: ${DEFAULT-VALUE})")
    double momentum;

    @Option(names = "--weight-decay", defaultValue = "0.0001", description = "(default: ${DEFAULT-VALUE})")
    double weightDecay;

    @Mixin
    final DealingOptions dealing = new DealingOptions(SamplerName.SHARDED_BATCH);

    @Option(
            names = "--image-size",
            paramLabel = "PIXELS",
            defaultValue = "64",
            description = "Images are resized to a square of this edge (default: ${DEFAULT-VALUE}).")
    int imageSize;

    @Option(
            names = "--augment",
            description = "Train on random parts of the images, mirrored at random; measure on their middle.")
    boolean augment;

    @Option(
            names = "--cache",
            description = "Keep the decoded images beside the dataset, from which later epochs and runs read them.")
    boolean cache;

    @Option(
            names = "--bad-rows",
            paramLabel = "POLICY",
            defaultValue = "fail",
            description =
                    "What to do with an image that cannot be decoded: ${COMPLETION-CANDIDATES} (default:"
                            + " ${DEFAULT-VALUE}). SKIP trains on another one in its place, SUBSTITUTE on the rest of the batch.")
    BadRows badRows;

    @Option(names = "--seed", defaultValue = "0", description = "(default: ${DEFAULT-VALUE})")
    long seed;

    @Option(names = "--weights", paramLabel = "FILE", description = "Start from this .pt state dict.")
    Path weights;

    @Option(names = "--save", paramLabel = "FILE", description = "Write the trained model's .pt state dict here.")
    Path save;

    @Option(
            names = "--checkpoint",
            paramLabel = "DIR",
            description = "Keep checkpoints in this folder: after each epoch, and as --checkpoint-every says.")
    Path checkpoint;

    @Option(names = "--checkpoint-every", paramLabel = "STEPS", description = "Also save after so many steps.")
    Integer checkpointEvery;

    @Option(
            names = "--keep",
            paramLabel = "N",
            defaultValue = "3",
            description = "How many checkpoints are kept (default: ${DEFAULT-VALUE}).")
    int keep;

    @Option(
            names = "--resume",
            description =
                    "Go on from the latest whole checkpoint, at the very next image; where there is none, start anew. The"
                            + " optimizer's options are the checkpoint's.")
    boolean resume;

    @Option(
            names = "--elastic",
            description =
                    "A rank that is started anew goes on from the latest checkpoint by itself, as by --resume: for"
                            + " torchrun --max-restarts, or with --max-restarts here.")
    boolean elastic;

    @Option(
            names = "--max-restarts",
            paramLabel = "N",
            defaultValue = "0",
            description = "Start all ranks anew when one fails, so often at most (default: ${DEFAULT-VALUE}). Needs"
                    + " --elastic.")
    int maxRestarts;

    @Option(names = "--no-ddp", description = "One process, without averaging of gradients.")
    boolean noDdp;

    @Option(names = "--val", paramLabel = "DATASET", description = "Measure the accuracy on this dataset.")
    String validation;

    @Option(
            names = "--val-fraction",
            paramLabel = "F",
            description =
                    "Hold out this share of the dataset's rows, and measure the accuracy on them (default: 0; for the"
                            + " built-in drawings 0.2).")
    Double validationFraction;

    @CommandLine.Mixin
    TrackingOptions tracking;

    @Option(
            names = "--log-rows",
            paramLabel = "DIR",
            description =
                    "Each rank writes which rows it trains on, and their loss, to DIR/rank-R.jsonl, a line of JSON for"
                            + " each step.")
    Path logRows;

    @CommandLine.Mixin
    ComputeOptions compute = new ComputeOptions();

    @Option(
            names = "--decode-threads",
            paramLabel = "N",
            description = "Threads of each rank that decode images (default: its share of the cores).")
    Integer decodeThreads;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "300",
            description = "How long a rank waits for another one (default: ${DEFAULT-VALUE}).")
    int timeout;

    @Override
    public Integer call() throws Exception {
        check();
        if (compute.synthetic != null) {
            return synthetic();
        }
        if (RankEnvironment.isSet() && !noDdp) {
            requireDataset();
            try (var trainer = new Trainer(this, RankEnvironment.read())) {
                trainer.run();
            }
            return 0;
        }
        compute.requireDevice(noDdp ? 1 : processes);
        prepare();
        if (noDdp) {
            try (var trainer = new Trainer(this, null)) {
                trainer.run();
            }
            return 0;
        }
        int status = new LocalLauncher(maxRestarts).run(processes, command());
        if (status != 0) {
            endAbandoned(status);
        }
        return status;
    }

    /** A rank that was killed could not say so itself. */
    private void endAbandoned(int status) {
        Path memory = tracking.abandoned(checkpoint);
        if (memory != null) {
            try {
                MlflowTracker.endAbandoned(memory, status > 128 ? RunStatus.KILLED : RunStatus.FAILED);
            } catch (IOException e) {
                RunTracking.say("MLflow does not learn that the run has ended: " + e.getMessage());
            }
        }
    }

    private int synthetic() throws Exception {
        if (noDdp || RankEnvironment.isSet()) {
            new SyntheticTrainer(this, noDdp ? null : RankEnvironment.read()).run();
            return 0;
        }
        compute.requireDevice(processes);
        return new LocalLauncher(maxRestarts).run(processes, command());
    }

    /** Whether the run goes on from a checkpoint, where there is one. */
    boolean resumes() {
        return resume || elastic;
    }

    private void check() {
        require(compute.complaint() == null, compute.complaint());
        require(
                compute.synthetic == null || dataset == null,
                "--synthetic is for no dataset, and " + dataset + " is one");
        require(processes >= 1, "--nproc-per-node must be 1 or more");
        require(batchSize >= 1, "--batch-size must be 1 or more");
        require(epochs >= 0, "--epochs must be 0 or more");
        require(timeout >= 1, "--timeout must be 1 or more");
        require(imageSize >= 1, "--image-size must be 1 or more");
        require(learningRate >= 0, "--lr must be 0 or more");
        require(keep >= 1, "--keep must be 1 or more");
        require(checkpointEvery == null || checkpointEvery >= 1, "--checkpoint-every must be 1 or more");
        require(
                checkpoint != null || !resumes() && checkpointEvery == null,
                "--resume, --elastic and --checkpoint-every need --checkpoint, which names the folder");
        require(maxRestarts >= 0, "--max-restarts must be 0 or more");
        require(maxRestarts == 0 || elastic, "--max-restarts needs --elastic: else ranks would begin from the start");
        require(momentum >= 0, "--momentum must be 0 or more");
        require(decodeThreads == null || decodeThreads >= 1, "--decode-threads must be 1 or more");
        require(model.equals("resnet18") || model.equals("resnet50"), "--model must be resnet18 or resnet50");
        require(
                !cache || !augment,
                "--cache and --augment exclude each other: a random part is another one each epoch");
        require(
                validationFraction == null || validationFraction >= 0 && validationFraction < 1,
                "--val-fraction must be from 0 to less than 1");
        require(
                validation == null || validationFraction == null,
                "--val and --val-fraction exclude each other: one names a dataset, the other takes a part of it");
        if (validationFraction == null) {
            validationFraction = dataset == null && validation == null ? 0.2 : 0.0;
        }
        if (checkpoint != null
                && !resumes()
                && !CheckpointDirectory.of(checkpoint, keep).files().isEmpty()) {
            throw new UserException("--checkpoint: " + checkpoint
                    + " has checkpoints of another run; --resume goes on from the latest, or name another folder");
        }
        if (weights != null && !Files.isRegularFile(weights)) {
            throw new UserException("--weights: no file " + weights);
        }
        TrackingOptions.requireParent(save);
        TrackingOptions.requireParent(compute.profile);
        tracking.check(spec);
    }

    private void require(boolean condition, String message) {
        if (!condition) {
            throw new CommandLine.ParameterException(spec.commandLine(), message);
        }
    }

    /** Before ranks start: the default dataset is made by one process. */
    private void prepare() throws IOException {
        tracking.requireFresh(resumes());
        if (dataset == null) {
            dataset = DefaultDataset.require();
        }
    }

    /** Under torchrun no process comes before the ranks, so rank 0 makes the default dataset and the others wait for it. */
    private void requireDataset() throws IOException, InterruptedException {
        if (dataset == null) {
            dataset = RankEnvironment.read().localRank() == 0 ? DefaultDataset.require() : DefaultDataset.await();
        }
    }

    /** What a tracker is told that the run was told to do. */
    Map<String, String> parameters(int worldSize) {
        Map<String, String> parameters = new LinkedHashMap<>();
        parameters.put("dataset", dataset);
        parameters.put("model", model);
        parameters.put("world_size", Integer.toString(worldSize));
        parameters.put("batch_size", Integer.toString(batchSize));
        parameters.put("epochs", Integer.toString(epochs));
        parameters.put("learning_rate", BigDecimal.valueOf(learningRate).toPlainString());
        parameters.put("momentum", BigDecimal.valueOf(momentum).toPlainString());
        parameters.put("weight_decay", BigDecimal.valueOf(weightDecay).toPlainString());
        parameters.put("sampler", dealing.name.toString());
        parameters.put("uneven", dealing.uneven.toString().toLowerCase(Locale.ROOT));
        parameters.put("image_size", Integer.toString(imageSize));
        parameters.put("augment", Boolean.toString(augment));
        parameters.put("cache", Boolean.toString(cache));
        parameters.put("bad_rows", badRows.toString().toLowerCase(Locale.ROOT));
        parameters.put("seed", Long.toString(seed));
        parameters.put("val_fraction", validation == null ? validationFraction.toString() : validation);
        parameters.put("lancetorch", Main.VERSION);
        parameters.put("java", Runtime.version().toString());
        if (tracking.name != null) {
            parameters.put("run_name", tracking.name);
        }
        return parameters;
    }

    /** This JVM's own command line, with the dataset named. */
    private List<String> command() {
        List<String> command = OwnCommand.of(spec);
        if (compute.synthetic == null && spec.commandLine().getParseResult().matchedPositional(0) == null) {
            command.add("--val-fraction=" + validationFraction);
            command.add("--");
            command.add(dataset);
        }
        return command;
    }
}
