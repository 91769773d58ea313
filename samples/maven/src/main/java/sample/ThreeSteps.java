package sample;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** Writes dark and light images to a dataset, and trains a linear model on them for three steps. */
public final class ThreeSteps {
    private static final int SIDE = 8;

    private ThreeSteps() {}

    public static void main(String[] arguments) throws Exception {
        Path folder = Files.createTempDirectory("three-steps");
        String uri = folder.resolve("images.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"), Field.int64("label")))
                .open()) {
            for (int i = 0; i < 96; i++) {
                byte[] pixels = new byte[SIDE * SIDE * 3];
                Arrays.fill(pixels, (byte) (i % 2 == 0 ? 20 + i % 30 : 200 + i % 30));
                writer.append(ImageCodec.encodeJpeg(pixels, SIDE, SIDE, 90), (long) (i % 2));
            }
            writer.finish();
        }
        try (var dataset = LanceDataset.open(uri);
                var loader = DataLoader.of(dataset)
                        .image("image", ImageTransform.resize(SIDE, SIDE))
                        .batchSize(32)
                        .open();
                var _ = new TensorScope()) {
            Tensor weight = Ops.zeros(DType.FLOAT32, 2, 3 * SIDE * SIDE).requiresGrad(true);
            var sgd = Optimizer.sgd(List.of(weight), 0.01, 0, 0);
            for (Batch batch : loader) {
                try (var _ = new TensorScope()) {
                    sgd.zeroGrad();
                    Tensor logits = Ops.linear(Ops.flatten(batch.get("image"), 1), weight, null);
                    Tensor loss = Ops.crossEntropy(logits, batch.get("label"));
                    loss.backward();
                    sgd.step();
                    System.out.printf("step %d: loss %.4f%n", batch.step(), loss.item());
                }
            }
            sgd.close();
        }
    }
}
