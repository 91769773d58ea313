package io.lancetorch.examples;

import io.lancetorch.data.Batch;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.tensor.GradScaler;
import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;

/** What a rank does with a batch: forward, gradients averaged over the ranks, and the optimizer's step. */
final class TrainingStep {
    /** The label that cross entropy leaves out: its ignore_index unless said. */
    private static final long IGNORED = -100;

    /** How long a GPU may compute on its own before a loss is asked for. */
    private static final long READ_NANOS = 500_000_000;

    private final ResNet model;
    private final DistributedDataParallel ddp;
    private final Optimizer optimizer;
    private final boolean weighted;
    private final RowLog log;
    private final ComputeOptions compute;
    private final GradScaler scaler;
    private final Op where = Op.find("aten::where", "ScalarOther");
    // Of steps whose loss a GPU is still about to know.
    private final List<Tensor> losses = new ArrayList<>();
    private final List<Integer> counts = new ArrayList<>();
    private long lastRead = System.nanoTime();
    private double latest;
    private double sum;

    /**
     * @param ddp null for a world of one without a process group
     * @param weighted trains on valid rows alone, each of which counts alike on whichever rank it is; else on all rows, those
     *     included that fill a batch up, and each rank counts alike
     * @param log null: none
     * @param scaler null: none
     */
    TrainingStep(
            ResNet model,
            DistributedDataParallel ddp,
            Optimizer optimizer,
            boolean weighted,
            RowLog log,
            ComputeOptions compute,
            GradScaler scaler) {
        this.compute = compute;
        this.scaler = scaler;
        this.model = model;
        this.ddp = ddp;
        this.optimizer = optimizer;
        this.weighted = weighted;
        this.log = log;
    }

    /**
     * Trains on the batch of the run's step {@code number}. Returns the mean loss of its valid rows, 0 where there are none; on a
     * GPU, for which it does not wait, that of a step a moment ago.
     */
    double train(Batch batch, int epoch, long number) {
        try (var _ = new TensorScope()) {
            int valid = batch.validRows();
            int rows = weighted ? valid : batch.rows();
            optimizer.zeroGrad();
            Tensor counted;
            Tensor trained;
            try (var _ = compute.autocast()) {
                Tensor logits = rows == 0 ? null : logits(batch.get(DatasetCreation.IMAGE));
                counted = valid == 0 ? null : Ops.crossEntropy(logits, validLabels(batch));
                boolean all = weighted || valid == rows;
                trained = all ? counted : Ops.crossEntropy(logits, batch.get(DatasetCreation.LABEL));
            }
            note(counted, valid);
            if (log != null) {
                readLosses();
                // No rank gets past this step before all have come to its average, and so have written what they see.
                log.append(epoch, number, latest, batch);
            }
            backward(trained, rows);
            return latest;
        }
    }

    private void note(Tensor loss, int rows) {
        losses.add(loss == null ? null : TensorScope.detach(loss.detach()));
        counts.add(rows);
        // A loss that is read is waited for, so on a GPU not each one is.
        if (!compute.onGpu() || System.nanoTime() - lastRead > READ_NANOS) {
            readLosses();
        }
    }

    private void readLosses() {
        for (int i = 0; i < losses.size(); i++) {
            try (Tensor loss = losses.get(i)) {
                latest = loss == null ? 0 : loss.item();
                sum += latest * counts.get(i);
            }
        }
        losses.clear();
        counts.clear();
        lastRead = System.nanoTime();
    }

    /** The sum of the losses of all valid rows since the last call. Waits for the device. */
    double takeLossSum() {
        readLosses();
        double taken = sum;
        sum = 0;
        return taken;
    }

    private Tensor logits(Tensor images) {
        Tensor ordered = images.to(compute.format());
        return ddp == null ? model.forward(ordered, true) : ddp.forward(() -> model.forward(ordered, true));
    }

    private Tensor validLabels(Batch batch) {
        Tensor labels = batch.get(DatasetCreation.LABEL);
        return batch.validRows() == batch.rows() ? labels : where.call(batch.mask(), labels, IGNORED);
    }

    private void backward(Tensor mean, int rows) {
        Tensor loss = mean == null || scaler == null ? mean : scaler.scale(mean);
        if (ddp != null && weighted) {
            ddp.weightedBackward(loss, rows);
        } else if (ddp != null) {
            ddp.backward(loss);
        } else if (loss != null) {
            loss.backward();
        } else {
            return;
        }
        if (scaler == null) {
            optimizer.step();
        } else {
            scaler.step(optimizer);
            scaler.update();
        }
    }
}
