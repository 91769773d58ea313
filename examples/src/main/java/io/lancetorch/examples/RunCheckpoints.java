package io.lancetorch.examples;

import io.lancetorch.checkpoint.Checkpoint;
import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.LoaderState;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.tensor.Optimizer;
import java.util.Map;

/** Keeps checkpoints of a run as the command line asks for them, and lets a run go on from one. */
final class RunCheckpoints {
    private final TrainCommand options;
    private final ResNet model;
    private final Optimizer optimizer;
    private final DataLoader training;
    private final boolean leader;
    private final CheckpointDirectory directory;
    private long step;

    /** {@code group}: null for a world of one. */
    RunCheckpoints(TrainCommand options, ResNet model, Optimizer optimizer, DataLoader training, ProcessGroup group) {
        this.options = options;
        this.model = model;
        this.optimizer = optimizer;
        this.training = training;
        leader = group == null || group.rank() == 0;
        if (options.checkpoint == null) {
            directory = null;
        } else if (group == null) {
            directory = CheckpointDirectory.of(options.checkpoint, options.keep);
        } else {
            directory = CheckpointDirectory.of(options.checkpoint, options.keep, group);
        }
    }

    /** Where the command line asks for it, goes on from the latest checkpoint. Returns the epoch of the next step. */
    int resume() {
        if (directory == null || !options.resumes()) {
            return 0;
        }
        try (CheckpointDirectory.Latest latest = directory.latest()) {
            latest.skipped()
                    .forEach(skipped -> System.err.println(
                            "lancetorch: skipped " + skipped.reason().getMessage()));
            if (!latest.isPresent()) {
                say("no checkpoint in " + options.checkpoint + ": starting anew");
                return 0;
            }
            Checkpoint checkpoint = latest.checkpoint();
            checkpoint.restoreModel(model.stateDict());
            checkpoint.restoreOptimizer(optimizer);
            checkpoint.restoreRandomState();
            step = checkpoint.step();
            say("going on from " + latest.file());
            LoaderState position = LoaderState.fromMap(checkpoint.loader());
            if (position.isAtEnd()) {
                return Math.toIntExact(position.epoch() + 1);
            }
            training.resume(position);
            return Math.toIntExact(position.epoch());
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
            LoaderState position = training.state();
            // The end of an epoch is saved when all of it is done, so that a run that goes on from there misses
            // nothing.
            if (!position.isAtEnd()) {
                save(position);
            }
        }
    }

    /** After each epoch, with all that belongs to it. */
    void afterEpoch() {
        if (directory != null) {
            save(training.state());
        }
    }

    private void save(LoaderState position) {
        if (!leader) {
            return;
        }
        try (Checkpoint checkpoint = Checkpoint.after(step)
                .epoch(position.epoch())
                .model(model.stateDict())
                .optimizer(optimizer)
                .randomState()
                .loader(position.toMap())
                .metadata(Map.of("model", options.model, "dataset", options.dataset))
                .build()) {
            directory.save(checkpoint);
        }
    }
}
