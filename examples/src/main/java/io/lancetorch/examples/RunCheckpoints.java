package io.lancetorch.examples;

import io.lancetorch.checkpoint.Checkpoint;
import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.LoaderState;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.Optimizer;
import java.util.Map;

/**
 * Keeps checkpoints of a run as the command line asks for them, and lets a run go on from one: on the version of the dataset
 * that it began with.
 */
final class RunCheckpoints implements AutoCloseable {
    private static final String MODEL = "model";
    private static final String SAMPLER = "sampler";

    private final TrainCommand options;
    private final boolean leader;
    private final CheckpointDirectory directory;
    private CheckpointDirectory.Latest latest;
    private LoaderState position; // of the latest; null: from the start
    private ResNet model;
    private Optimizer optimizer;
    private DataLoader training;
    private long step;
    private RunTracking tracking;

    /** Reads the latest checkpoint where the command line asks for it. {@code group}: null for a world of one. */
    RunCheckpoints(TrainCommand options, ProcessGroup group) {
        this.options = options;
        leader = group == null || group.rank() == 0;
        if (options.checkpoint == null) {
            directory = null;
        } else if (group == null) {
            directory = CheckpointDirectory.of(options.checkpoint, options.keep);
        } else {
            directory = CheckpointDirectory.of(options.checkpoint, options.keep, group);
        }
        if (directory != null && options.resumes()) {
            latest = directory.latest();
            if (latest.isPresent()) {
                position = LoaderState.fromMap(latest.checkpoint().loader());
            }
        }
    }

    /** The dataset as the run began with it, or its latest version. The caller closes it. */
    LanceDataset openDataset() {
        return position == null
                ? LanceDataset.open(options.dataset, options.storage.options)
                : LanceDataset.openVersion(options.dataset, options.storage.options, position.datasetVersion());
    }

    /**
     * Gives model, optimizer and loader what they had, where there is a checkpoint, and saves them from now on. Returns the
     * epoch of the next step. {@code tracking}: told where they are.
     */
    int begin(ResNet model, Optimizer optimizer, DataLoader training, RunTracking tracking) {
        this.model = model;
        this.optimizer = optimizer;
        this.training = training;
        this.tracking = tracking;
        if (latest == null) {
            return 0;
        }
        latest.skipped()
                .forEach(skipped -> System.err.println(
                        "lancetorch: skipped " + skipped.reason().getMessage()));
        if (position == null) {
            say("no checkpoint in " + options.checkpoint + ": starting anew");
            return 0;
        }
        Checkpoint checkpoint = latest.checkpoint();
        requireSame(MODEL, options.model);
        requireSame(SAMPLER, options.dealing.name.toString());
        checkpoint.restoreModel(model.stateDict());
        checkpoint.restoreOptimizer(optimizer);
        checkpoint.restoreRandomState();
        step = checkpoint.step();
        say("going on from " + latest.file());
        close();
        if (position.isAtEnd()) {
            return Math.toIntExact(position.epoch() + 1);
        }
        training.resume(position);
        return Math.toIntExact(position.epoch());
    }

    private void requireSame(String option, String value) {
        Object before = latest.checkpoint().metadata().get(option);
        if (before != null && !before.equals(value)) {
            throw new UserException("--" + option + " is " + value + ", and " + latest.file() + " is of a run with "
                    + before + ": go on with that one, or name another folder by --checkpoint");
        }
    }

    /** How many steps the run has made, those before it was resumed included. */
    long step() {
        return step;
    }

    private void say(String message) {
        if (leader) {
            System.out.println(message);
        }
    }

    /** After each step: saves where one of {@code --checkpoint-every} is due. */
    void afterStep() {
        step++;
        if (directory != null && options.checkpointEvery != null && step % options.checkpointEvery == 0) {
            LoaderState now = training.state();
            // The end of an epoch is saved when all of it is done, so that a run that goes on from there misses
            // nothing.
            if (!now.isAtEnd()) {
                save(now);
            }
        }
    }

    /** After each epoch, with all that belongs to it. */
    void afterEpoch() {
        if (directory != null) {
            save(training.state());
        }
    }

    private void save(LoaderState now) {
        if (!leader) {
            return;
        }
        try (Checkpoint checkpoint = Checkpoint.after(step)
                .epoch(now.epoch())
                .model(model.stateDict())
                .optimizer(optimizer)
                .randomState()
                .loader(now.toMap())
                .metadata(Map.of(
                        MODEL, options.model, SAMPLER, options.dealing.name.toString(), "dataset", options.dataset))
                .build()) {
            directory.save(checkpoint).ifPresent(file -> tracking.saved("checkpoint", file));
        }
    }

    /** Frees the checkpoint that was read. */
    @Override
    public void close() {
        if (latest != null) {
            latest.close();
        }
    }
}
