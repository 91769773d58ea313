package io.lancetorch.examples;

import io.lancetorch.data.Batch;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.GradScaler;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.SequencedMap;

/** The trainer's step on one batch of noise that stays on the device: how fast it is where it never waits for data. */
final class SyntheticTrainer {
    /** ImageNet's. */
    private static final int CLASSES = 1000;

    private final TrainCommand options;
    private final RankEnvironment environment;
    private final int rank;
    private final int worldSize;

    /** {@code environment}: null for a world of one without a process group. */
    SyntheticTrainer(TrainCommand options, RankEnvironment environment) {
        this.options = options;
        this.environment = environment;
        rank = environment == null ? 0 : environment.rank();
        worldSize = environment == null ? 1 : environment.worldSize();
    }

    void run() {
        ComputeOptions compute = options.compute;
        Trainer.limitThreads();
        Torch.manualSeed(options.seed);
        try (var group = environment == null
                        ? null
                        : ProcessGroup.fromEnvironment(environment, Duration.ofSeconds(options.timeout));
                var model = ResNet.of(options.model, CLASSES, compute.device(), compute.format());
                Batch batch = batch()) {
            if (group != null && compute.onGpu()) {
                group.useNccl(compute.device());
            }
            try (var ddp = group == null
                            ? null
                            : new DistributedDataParallel(group, model.parameters(), model.buffers());
                    var sgd = Optimizer.sgd(
                            model.parameters(), options.learningRate, options.momentum, options.weightDecay);
                    GradScaler scaler = compute.scaler()) {
                sgd.fused(compute.isFused());
                var step = new TrainingStep(model, ddp, sgd, false, null, compute, scaler);
                for (int epoch = 0; epoch < options.epochs; epoch++) {
                    epoch(epoch, batch, step);
                }
            }
        }
    }

    private Batch batch() {
        try (var _ = new TensorScope()) {
            int size = options.imageSize;
            SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
            Tensor images = Ops.randn(DType.FLOAT32, options.batchSize, 3, size, size);
            tensors.put(
                    DatasetCreation.IMAGE,
                    images.to(options.compute.device(), null, options.compute.format(), false, false));
            long[] labels = new long[options.batchSize];
            for (int row = 0; row < labels.length; row++) {
                labels[row] = row % CLASSES;
            }
            tensors.put(DatasetCreation.LABEL, Tensor.of(labels).to(options.compute.device()));
            return Batch.of(tensors);
        }
    }

    private void epoch(int epoch, Batch batch, TrainingStep step) {
        int steps = options.compute.synthetic;
        boolean first = rank == 0 && epoch == 0;
        long start = System.nanoTime();
        try (var trace = new StepTrace(first ? options.compute.profile : null, steps)) {
            for (int done = 0; done < steps; done++) {
                trace.next(done);
                step.train(batch, epoch, done);
            }
        }
        double images = (double) steps * options.batchSize;
        double loss = step.takeLossSum() / images;
        double seconds = (System.nanoTime() - start) / 1e9;
        if (rank == 0) {
            System.out.printf(
                    Locale.ROOT,
                    "epoch %d/%d  loss %.4f  %.1f s  %.1f images/s  synthetic%n",
                    epoch + 1,
                    options.epochs,
                    loss,
                    seconds,
                    worldSize * images / seconds);
        }
    }
}
