package io.lancetorch.cookbook;

import io.lancetorch.checkpoint.Checkpoint;
import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.LoaderState;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A run that can be stopped anywhere. */
final class ResumedRun {
    private ResumedRun() {}

    // START SNIPPET: run
    /** Goes on from the latest checkpoint in {@code folder}, if there is one, for at most {@code steps} steps. */
    static long train(DataLoader loader, Tensor weight, Path folder, int steps) {
        var checkpoints = CheckpointDirectory.of(folder, 3); // keeps the latest three
        Map<String, Tensor> model = Map.of("weight", weight);
        long step = 0;
        try (var sgd = Optimizer.sgd(List.of(weight), 0.01, 0.9, 0)) {
            try (CheckpointDirectory.Latest latest = checkpoints.latest()) {
                if (latest.isPresent()) {
                    Checkpoint checkpoint = latest.checkpoint();
                    checkpoint.restoreModel(model);
                    checkpoint.restoreOptimizer(sgd);
                    checkpoint.restoreRandomState();
                    loader.resume(LoaderState.fromMap(checkpoint.loader())); // at the very next sample
                    step = checkpoint.step();
                }
            }
            int left = steps;
            for (Batch batch : loader) {
                if (left-- == 0) {
                    break;
                }
                try (var _ = new TensorScope()) {
                    sgd.zeroGrad();
                    Tensor images = Ops.flatten(batch.get("image"), 1);
                    Ops.crossEntropy(Ops.linear(images, weight, null), batch.get("label"))
                            .backward();
                    sgd.step();
                }
                step++;
                try (Checkpoint now = Checkpoint.after(step)
                        .model(model)
                        .optimizer(sgd)
                        .randomState()
                        .loader(loader.state().toMap())
                        .build()) {
                    checkpoints.save(now); // a .pt file that Python's torch.load opens too
                }
            }
        }
        return step;
    }
    // END SNIPPET: run
}
