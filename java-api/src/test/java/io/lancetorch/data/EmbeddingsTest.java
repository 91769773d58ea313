package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A linear classifier learns from embeddings and labels, as floats of both widths, in both styles. */
@Timeout(60)
class EmbeddingsTest {
    private static final int ROWS = 900;
    private static final int WIDTH = 12;
    private static final int CLASSES = 3;

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("embeddings.lance").toString();
        Schema schema = Schema.of(
                Field.fixedSizeList("embedding", Field.float32("item"), WIDTH),
                Field.fixedSizeList("half", Field.float16("item"), WIDTH),
                Field.int64("label"));
        var random = new Random(3);
        try (var writer = LanceWriter.to(uri, schema).maxRowsPerFile(250).open()) {
            for (int row = 0; row < ROWS; row++) {
                int label = row % CLASSES;
                float[] embedding = new float[WIDTH];
                short[] half = new short[WIDTH];
                for (int i = 0; i < WIDTH; i++) {
                    embedding[i] = (float) (0.5 * random.nextGaussian() + (i % CLASSES == label ? 1 : 0));
                    half[i] = Float.floatToFloat16(embedding[i]);
                }
                writer.append(embedding, half, (long) label);
            }
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    /** The share of rows that are told rightly after three epochs. */
    private static double accuracy(String column, DType dtype, UnaryOperator<DataLoader.Builder> style) {
        try (var _ = new TensorScope();
                var loader = style.apply(DataLoader.of(dataset)
                                .columns(column, "label")
                                .batchSize(32)
                                .seed(1))
                        .open()) {
            Tensor weight = Ops.zeros(DType.FLOAT32, CLASSES, WIDTH).requiresGrad(true);
            Tensor bias = Ops.zeros(DType.FLOAT32, CLASSES).requiresGrad(true);
            long right = 0;
            try (var sgd = Optimizer.sgd(List.of(weight, bias), 0.1, 0.9, 0)) {
                for (int epoch = 0; epoch < 4; epoch++) {
                    loader.setEpoch(epoch);
                    for (Batch batch : loader) {
                        try (var _ = new TensorScope()) {
                            assertThat(batch.get(column).dtype()).isEqualTo(dtype);
                            assertThat(batch.get(column).shape()).containsExactly(batch.rows(), WIDTH);
                            Tensor logits = Ops.linear(batch.get(column).to(DType.FLOAT32), weight, bias);
                            if (epoch < 3) {
                                sgd.zeroGrad();
                                Ops.crossEntropy(logits, batch.get("label")).backward();
                                sgd.step();
                            } else {
                                long[] found = Ops.argmax(logits, 1).toLongs();
                                long[] labels = batch.get("label").toLongs();
                                for (int row = 0; row < batch.rows(); row++) {
                                    right += batch.isValid(row) && found[row] == labels[row] ? 1 : 0;
                                }
                            }
                        }
                    }
                }
            }
            return (double) right / ROWS;
        }
    }

    @Test
    void aLinearClassifierLearnsFromThemInEveryStyle() {
        for (String column : List.of("embedding", "half")) {
            DType dtype = column.equals("half") ? DType.FLOAT16 : DType.FLOAT32;
            assertThat(accuracy(column, dtype, builder -> builder.sampler(new ShardedBatchSampler())))
                    .as("in order")
                    .isGreaterThan(0.97);
            assertThat(accuracy(column, dtype, builder -> builder.sampler(new RandomSampler())
                            .mapStyle()))
                    .as("at random")
                    .isGreaterThan(0.97);
        }
    }

    @Test
    void aScanGivesTheirOwnMemory() {
        try (var scan = dataset.scan()
                        .columns("embedding", "half")
                        .batchSize(100)
                        .open();
                RecordBatch batch = scan.next();
                var _ = new TensorScope()) {
            for (String column : List.of("embedding", "half")) {
                Tensor tensor = ColumnTensors.alias(batch.column(column));
                var values = batch.column(column).child(0);
                long first = values.offset() + batch.column(column).offset() * WIDTH;
                assertThat(tensor.dataPointer())
                        .isEqualTo(values.buffer(1).address()
                                + first * tensor.dtype().size());
            }
        }
    }
}
