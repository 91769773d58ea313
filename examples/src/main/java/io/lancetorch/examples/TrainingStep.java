package io.lancetorch.examples;

import io.lancetorch.data.Batch;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;

/** What a rank does with a batch: forward, gradients averaged over the ranks, and the optimizer's step. */
final class TrainingStep {
    /** The label that cross entropy leaves out: its ignore_index unless said. */
    private static final long IGNORED = -100;

    private final ResNet model;
    private final DistributedDataParallel ddp;
    private final Optimizer optimizer;
    private final boolean weighted;
    private final RowLog log;
    private final Op where = Op.find("aten::where", "ScalarOther");

    /**
     * @param ddp null for a world of one without a process group
     * @param weighted trains on valid rows alone, each of which counts alike on whichever rank it is; else on all rows, those
     *     included that fill a batch up, and each rank counts alike
     * @param log null: none
     */
    TrainingStep(ResNet model, DistributedDataParallel ddp, Optimizer optimizer, boolean weighted, RowLog log) {
        this.model = model;
        this.ddp = ddp;
        this.optimizer = optimizer;
        this.weighted = weighted;
        this.log = log;
    }

    /** Trains on the batch of the run's step {@code number}. Returns the mean loss of its valid rows, 0 where there are none. */
    double train(Batch batch, int epoch, long number) {
        try (var _ = new TensorScope()) {
            int valid = batch.validRows();
            int rows = weighted ? valid : batch.rows();
            optimizer.zeroGrad();
            Tensor logits = rows == 0 ? null : logits(batch.get(DatasetCreation.IMAGE));
            Tensor counted = valid == 0 ? null : Ops.crossEntropy(logits, validLabels(batch));
            double loss = counted == null ? 0 : counted.item();
            if (log != null) {
                // No rank gets past this step before all have come to its average, and so have written what they see.
                log.append(epoch, number, loss, batch);
            }
            boolean all = weighted || valid == rows;
            backward(all ? counted : Ops.crossEntropy(logits, batch.get(DatasetCreation.LABEL)), rows);
            return loss;
        }
    }

    private Tensor logits(Tensor images) {
        return ddp == null ? model.forward(images, true) : ddp.forward(() -> model.forward(images, true));
    }

    private Tensor validLabels(Batch batch) {
        Tensor labels = batch.get(DatasetCreation.LABEL);
        return batch.validRows() == batch.rows() ? labels : where.call(batch.mask(), labels, IGNORED);
    }

    private void backward(Tensor loss, int rows) {
        if (ddp != null && weighted) {
            ddp.weightedBackward(loss, rows);
        } else if (ddp != null) {
            ddp.backward(loss);
        } else if (loss != null) {
            loss.backward();
        } else {
            return;
        }
        optimizer.step();
    }
}
