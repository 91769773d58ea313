package io.lancetorch.cookbook;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.ShardedFragmentSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.List;

/** Shards of unequal sizes, each row of which counts exactly once. */
final class UnevenShards {
    private UnevenShards() {}

    // START SNIPPET: join
    /** One epoch over embeddings. Returns the rows that this rank trained on. */
    static long train(ProcessGroup group, LanceDataset dataset, Tensor weight) {
        long trained = 0;
        try (var loader = DataLoader.of(dataset)
                        .sampler(new ShardedFragmentSampler(true, Uneven.JOIN))
                        .batchSize(8)
                        .group(group)
                        .open();
                var ddp = new DistributedDataParallel(group, List.of(weight), List.of());
                var sgd = Optimizer.sgd(List.of(weight), 0.01, 0, 0)) {
            for (Batch batch : loader) { // all ranks have the same steps, though not the same rows
                try (var _ = new TensorScope()) {
                    sgd.zeroGrad();
                    int rows = batch.validRows(); // 0 on a rank that has run out
                    Tensor loss = rows == 0
                            ? null
                            : Ops.crossEntropy(
                                    ddp.forward(() -> Ops.linear(batch.get("embedding"), weight, null)),
                                    batch.get("label"));
                    ddp.weightedBackward(loss, rows); // the mean over the rows of all ranks
                    sgd.step();
                    trained += rows;
                }
            }
        }
        return trained;
    }
    // END SNIPPET: join
}
