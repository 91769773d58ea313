package io.lancetorch.cookbook;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.DistributedSampler;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.List;

/** A program that is started once for each rank. */
final class TrainRanks {
    private TrainRanks() {}

    // START SNIPPET: main
    public static void main(String[] arguments) {
        try (var group = ProcessGroup.fromEnvironment(); // RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT
                var dataset = LanceDataset.open(arguments[0]);
                var loader = DataLoader.of(dataset)
                        .image("image", ImageTransform.resize(16, 16))
                        .sampler(new DistributedSampler())
                        .batchSize(16)
                        .group(group)
                        .open();
                var _ = new TensorScope()) {
            Tensor weight = Ops.zeros(DType.FLOAT32, 10, 3 * 16 * 16).requiresGrad(true);
            try (var ddp = new DistributedDataParallel(group, List.of(weight), List.of());
                    var sgd = Optimizer.sgd(List.of(weight), 0.01, 0.9, 0)) {
                for (int epoch = 0; epoch < 2; epoch++) {
                    loader.setEpoch(epoch);
                    double loss = 0;
                    for (Batch batch : loader) {
                        try (var _ = new TensorScope()) {
                            sgd.zeroGrad();
                            Tensor images = Ops.flatten(batch.get("image"), 1);
                            Tensor logits = ddp.forward(() -> Ops.linear(images, weight, null));
                            Tensor ofBatch = Ops.crossEntropy(logits, batch.get("label"));
                            ddp.backward(ofBatch); // averages the gradients over the ranks meanwhile
                            sgd.step();
                            loss += ofBatch.item();
                        }
                    }
                    double mean = loss / loader.steps();
                    System.out.println("rank %d, epoch %d: loss %.4f".formatted(group.rank(), epoch, mean));
                }
            }
        }
    }
    // END SNIPPET: main
}
