package io.lancetorch.cookbook;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.DistributedSampler;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.List;
import java.util.Random;

/** Embeddings with labels, and a linear classifier on them. */
final class EmbeddingClassifier {
    private EmbeddingClassifier() {}

    // START SNIPPET: write
    /** Writes vectors around one of two points; in a real dataset they come of an encoder. */
    static void write(String uri, int rows, int width) {
        var schema = Schema.of(Field.fixedSizeList("embedding", Field.float32("item"), width), Field.int64("label"));
        var random = new Random(7);
        try (var writer = LanceWriter.to(uri, schema).open()) {
            for (int row = 0; row < rows; row++) {
                float[] embedding = new float[width];
                for (int i = 0; i < width; i++) {
                    embedding[i] = (float) random.nextGaussian() + row % 2;
                }
                writer.append(embedding, (long) (row % 2));
            }
            writer.finish();
        }
    }
    // END SNIPPET: write

    // START SNIPPET: train
    /** Returns the share of rows that the trained classifier gets right. */
    static double train(LanceDataset dataset, int width) {
        try (var loader = DataLoader.of(dataset)
                        .sampler(new DistributedSampler())
                        .batchSize(32)
                        .open();
                var _ = new TensorScope()) {
            Tensor weight = Ops.zeros(DType.FLOAT32, 2, width).requiresGrad(true);
            Tensor bias = Ops.zeros(DType.FLOAT32, 2).requiresGrad(true);
            try (var adam = Optimizer.adamW(List.of(weight, bias), 0.05, 0.01)) {
                for (int epoch = 0; epoch < 5; epoch++) {
                    loader.setEpoch(epoch);
                    for (Batch batch : loader) {
                        try (var _ = new TensorScope()) {
                            adam.zeroGrad();
                            Tensor rows = batch.get("embedding"); // [rows, width], Lance's own memory
                            Ops.crossEntropy(Ops.linear(rows, weight, bias), batch.get("label"))
                                    .backward();
                            adam.step();
                        }
                    }
                }
            }
            double right = 0;
            for (Batch batch : loader) {
                try (var _ = new TensorScope()) {
                    Tensor guess = Ops.argmax(Ops.linear(batch.get("embedding"), weight, bias), 1);
                    right += Ops.sum(Ops.eq(guess, batch.get("label"))).item();
                }
            }
            return right / dataset.countRows();
        }
    }
    // END SNIPPET: train
}
