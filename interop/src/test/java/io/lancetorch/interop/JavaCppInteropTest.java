package io.lancetorch.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.data.Batch;
import io.lancetorch.data.ColumnTensors;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.ShardedBatchSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.GradMode;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Conv2dImpl;
import org.bytedeco.pytorch.LinearImpl;
import org.bytedeco.pytorch.Module;
import org.bytedeco.pytorch.SGD;
import org.bytedeco.pytorch.SGDOptions;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class JavaCppInteropTest {
    @AfterEach
    void nothingIsLeft() {
        assertThat(Alive.now()).isEmpty();
    }

    // ---- one tensor on both sides ----

    @Test
    void bothSidesHaveTheSameElementsAtTheSameAddress() {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            Tensor ours = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
            var theirs = JavaCppInterop.toJavaCpp(ours);
            assertThat(theirs.data_ptr().address()).isEqualTo(ours.dataPointer());
            assertThat(theirs.dim()).isEqualTo(2);
            assertThat(theirs.size(1)).isEqualTo(3);
            assertThat(theirs.get(1).get(2).item_float()).isEqualTo(6);

            theirs.add_(new Scalar(10));
            assertThat(ours.toFloats()).containsExactly(11, 12, 13, 14, 15, 16);
            Ops.mulInPlace(ours, 2);
            assertThat(theirs.get(0).get(0).item_float()).isEqualTo(22);

            Tensor back = JavaCppInterop.fromJavaCpp(theirs);
            assertThat(back.dataPointer()).isEqualTo(ours.dataPointer());
            assertThat(back.nativeHandle()).as("the very same TensorImpl").isEqualTo(ours.nativeHandle());
        }
    }

    @Test
    void operatorsOfEitherSideTakeTheOthersTensors() {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            var theirs = torch.ones(2, 3);
            Tensor ours = Ops.add(JavaCppInterop.fromJavaCpp(theirs), Tensor.of(new float[] {1, 2, 3}));
            assertThat(ours.toFloats()).containsExactly(2, 3, 4, 2, 3, 4);
            assertThat(theirs.mul(JavaCppInterop.toJavaCpp(ours)).sum().item_float())
                    .isEqualTo(18);
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyDtypeGoesOverAndBack(DType dtype) {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            Tensor ours = Ops.arange(6).to(dtype);
            var theirs = JavaCppInterop.toJavaCpp(ours);
            assertThat((int) theirs.scalar_type().value).isEqualTo(dtype.code());
            assertThat(JavaCppInterop.fromJavaCpp(theirs).dtype()).isEqualTo(dtype);
        }
    }

    @Test
    void stridesViewsAndEmptyTensorsGoOver() {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            Tensor images = Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CHANNELS_LAST, false, 2, 3, 4, 5);
            images.copyFrom(Ops.reshape(Ops.arange(120), 2, 3, 4, 5));
            var theirs = JavaCppInterop.toJavaCpp(images);
            assertThat(theirs.is_contiguous(torch.MemoryFormat.ChannelsLast)).isTrue();
            assertThat(theirs.stride(1)).isEqualTo(1);
            Tensor view = JavaCppInterop.fromJavaCpp(theirs.permute(0, 2, 3, 1));
            assertThat(view.shape()).containsExactly(2, 4, 5, 3);
            assertThat(view.strides()).containsExactly(60, 15, 3, 1);
            assertThat(view.dataPointer()).isEqualTo(images.dataPointer());
            assertThat(JavaCppInterop.toJavaCpp(Tensor.empty(DType.INT64, 0, 7)).numel())
                    .isZero();
            assertThat(JavaCppInterop.fromJavaCpp(torch.ones(0, 3)).shape()).containsExactly(0, 3);
        }
    }

    // ---- ends of life ----

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void eitherSideClosesFirst(boolean oursFirst) {
        Tensor ours = Tensor.of(new long[] {1, 2, 3});
        var theirs = JavaCppInterop.toJavaCpp(ours);
        assertThat(theirs.use_count()).isEqualTo(2);
        if (oursFirst) {
            ours.close();
            assertThat(theirs.use_count()).isEqualTo(1);
            assertThat(theirs.get(2).item_long()).isEqualTo(3);
            theirs.close();
        } else {
            theirs.close();
            assertThat(ours.toLongs()).containsExactly(1, 2, 3);
            ours.close();
        }
    }

    @Test
    void scopesOfEachSideCloseWhatGoesOver() {
        org.bytedeco.pytorch.Tensor theirs;
        try (var _ = new PointerScope()) {
            try (var scope = new TensorScope()) {
                Tensor ours = Tensor.of(new long[] {1, 2, 3});
                theirs = JavaCppInterop.toJavaCpp(ours);
                JavaCppInterop.fromJavaCpp(theirs);
                assertThat(scope.size()).isEqualTo(2);
            }
            assertThat(theirs.use_count()).isEqualTo(1);
        }
        assertThat(theirs.isNull()).isTrue();
    }

    /** The memory of a dataset's column lives until the presets' last view of it is gone. */
    @Test
    void aColumnsMemoryLivesAsLongAsThePresetsTensor(@TempDir Path folder) {
        String uri = folder.resolve("x.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("x"))).open()) {
            for (long i = 0; i < 10; i++) {
                writer.append(i);
            }
            writer.finish();
        }
        org.bytedeco.pytorch.Tensor view;
        long address;
        try (LanceDataset dataset = LanceDataset.open(uri);
                RecordBatch batch = dataset.take(new long[] {0, 1, 2, 3, 4});
                Tensor column = ColumnTensors.alias(batch.column(0));
                var theirs = JavaCppInterop.toJavaCpp(column)) {
            address = batch.column(0).buffer(1).address();
            view = theirs.get(3);
        }
        assertThat(Alive.now()).containsOnlyKeys("lance COLUMN", "lance bytes", "torch bytes");
        assertThat(view.data_ptr().address()).isEqualTo(address + 3 * 8);
        assertThat(view.item_long()).isEqualTo(3);
        view.close();
        assertThat(Alive.now()).isEmpty();
    }

    @Test
    void closedAndUndefinedTensorsAreRefused() {
        Tensor ours = Tensor.of(new long[] {1});
        var theirs = JavaCppInterop.toJavaCpp(ours);
        ours.close();
        theirs.close();
        assertThatThrownBy(() -> JavaCppInterop.toJavaCpp(ours))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
        assertThatThrownBy(() -> JavaCppInterop.fromJavaCpp(theirs))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
        try (var undefined = new org.bytedeco.pytorch.Tensor()) {
            assertThatThrownBy(() -> JavaCppInterop.fromJavaCpp(undefined))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("undefined");
        }
    }

    @Test
    void manyThreadsHandOverOneTensor() throws InterruptedException {
        try (Tensor ours = Tensor.of(new long[] {1, 2, 3})) {
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                threads.add(Thread.ofPlatform().start(() -> {
                    for (int j = 0; j < 2000; j++) {
                        try (var theirs = JavaCppInterop.toJavaCpp(ours);
                                Tensor _ = JavaCppInterop.fromJavaCpp(theirs)) {
                            if (theirs.numel() != 3) {
                                throw new AssertionError();
                            }
                        }
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            try (var theirs = JavaCppInterop.toJavaCpp(ours)) {
                assertThat(theirs.use_count()).isEqualTo(2);
            }
        }
    }

    // ---- gradients ----

    @Test
    void ourBackwardReachesThePresetsParameters() {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            var weight = torch.ones(3).set_requires_grad(true);
            Tensor loss = Ops.sum(Ops.mul(JavaCppInterop.fromJavaCpp(weight), Tensor.of(new float[] {1, 2, 3})));
            loss.backward();
            assertThat(weight.grad().get(2).item_float()).isEqualTo(3);
        }
    }

    @Test
    void thePresetsBackwardReachesOurParameters() {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            Tensor weight = Tensor.of(new float[] {1, 2, 3}).requiresGrad(true);
            // Half of the graph is made here, half there.
            Tensor squared = Ops.mul(weight, weight);
            JavaCppInterop.toJavaCpp(squared).sum().backward();
            assertThat(weight.grad().toFloats()).containsExactly(2, 4, 6);
        }
    }

    @Test
    void gradModeIsOneForBoth() {
        try (var _ = new TensorScope();
                var _ = new PointerScope()) {
            Tensor weight = Tensor.of(new float[] {1}).requiresGrad(true);
            var theirs = JavaCppInterop.toJavaCpp(weight);
            try (var _ = GradMode.noGrad()) {
                assertThat(theirs.mul(theirs).requires_grad()).isFalse();
            }
            assertThat(theirs.mul(theirs).requires_grad()).isTrue();
        }
    }

    // ---- a model of the presets' nn classes, on our batches ----

    private static final int SIDE = 16;
    private static final int CLASSES = 3;
    private static final ImageTransform IMAGES = ImageTransform.resize(SIDE, SIDE)
            .normalize(new float[] {0.5f, 0.5f, 0.5f}, new float[] {0.25f, 0.25f, 0.25f});

    /** Two convolutions and a linear layer. */
    private static final class Net extends Module {
        private final Conv2dImpl first = register_module("first", new Conv2dImpl(3, 8, new LongPointer(3, 3)));
        private final Conv2dImpl second = register_module("second", new Conv2dImpl(8, 8, new LongPointer(3, 3)));
        private final LinearImpl last = register_module("last", new LinearImpl(8 * 2 * 2, CLASSES));

        org.bytedeco.pytorch.Tensor forward(org.bytedeco.pytorch.Tensor images) {
            var features = torch.max_pool2d(torch.relu(first.forward(images)), 2);
            features = torch.relu(second.forward(features));
            return last.forward(torch.adaptive_avg_pool2d(features, 2, 2).flatten(1, -1));
        }
    }

    /** A JPEG of horizontal, vertical or diagonal stripes in a colour by chance, with noise. */
    private static byte[] stripes(int label, Random random) {
        byte[] pixels = new byte[SIDE * SIDE * 3];
        int phase = random.nextInt(8);
        int colour = random.nextInt(3);
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                int at = (label == 0 ? y : label == 1 ? x : x + y) + phase;
                for (int channel = 0; channel < 3; channel++) {
                    int light = at / 4 % 2 == 0 ? channel == colour ? 220 : 180 : 60;
                    pixels[(y * SIDE + x) * 3 + channel] = (byte) (light + random.nextInt(40));
                }
            }
        }
        return ImageCodec.encodeJpeg(pixels, SIDE, SIDE, 95);
    }

    private static LanceDataset stripes(Path folder, int rows) {
        String uri = folder.resolve("stripes.lance").toString();
        Random random = new Random(1);
        Schema schema = Schema.of(Field.binary("image"), Field.int64("label"));
        try (var writer = LanceWriter.to(uri, schema).maxRowsPerFile(64).open()) {
            for (int i = 0; i < rows; i++) {
                writer.append(stripes(i % CLASSES, random), (long) (i % CLASSES));
            }
            writer.finish();
        }
        return LanceDataset.open(uri);
    }

    @Test
    void aModelOfThePresetsTrainsOnOurBatches(@TempDir Path folder) {
        torch.manual_seed(7);
        try (LanceDataset dataset = stripes(folder, 180);
                DataLoader loader = DataLoader.of(dataset)
                        .image("image", IMAGES)
                        .sampler(new ShardedBatchSampler(true, Uneven.PAD))
                        .batchSize(30)
                        .open();
                Net model = new Net();
                TensorVector parameters = model.parameters();
                SGDOptions options = new SGDOptions(0.2);
                SGD optimizer = new SGD(parameters, options)) {
            List<Double> losses = new ArrayList<>();
            for (int epoch = 0; epoch < 8; epoch++) {
                loader.setEpoch(epoch);
                double sum = 0;
                for (Batch batch : loader) {
                    try (var _ = new PointerScope()) {
                        var images = JavaCppInterop.toJavaCpp(batch.get("image"));
                        assertThat(images.data_ptr().address())
                                .isEqualTo(batch.get("image").dataPointer());
                        var labels = JavaCppInterop.toJavaCpp(batch.get("label"));
                        optimizer.zero_grad();
                        var loss = torch.cross_entropy(model.forward(images), labels);
                        loss.backward();
                        optimizer.step();
                        sum += loss.item_float();
                    }
                }
                losses.add(sum / loader.steps());
            }
            assertThat(losses.getFirst()).isBetween(0.5, 1.5);
            assertThat(losses.getLast()).as("losses %s", losses).isLessThan(losses.getFirst() / 4);
        }
    }

    /** A loader decodes into memory that it uses again, but not while somebody has a tensor over it. */
    @Test
    void imagesThatAreKeptDoNotChangeWhileTheLoaderGoesOn(@TempDir Path folder) {
        List<org.bytedeco.pytorch.Tensor> kept = new ArrayList<>();
        List<Float> sums = new ArrayList<>();
        try (LanceDataset dataset = stripes(folder, 60);
                DataLoader loader = DataLoader.of(dataset)
                        .image("image", IMAGES)
                        .batchSize(6)
                        .open()) {
            for (Batch batch : loader) {
                var images = JavaCppInterop.toJavaCpp(batch.get("image"));
                kept.add(images);
                try (var sum = images.sum()) {
                    sums.add(sum.item_float());
                }
            }
        }
        assertThat(sums).hasSize(10).doesNotHaveDuplicates();
        for (int i = 0; i < kept.size(); i++) {
            try (var images = kept.get(i);
                    var sum = images.sum()) {
                assertThat(sum.item_float()).isEqualTo(sums.get(i));
            }
        }
    }

    @Test
    void ourOptimizerTrainsTheSameModelToTheSameWeights(@TempDir Path folder) {
        try (LanceDataset dataset = stripes(folder, 60);
                DataLoader loader = DataLoader.of(dataset)
                        .image("image", IMAGES)
                        .batchSize(30)
                        .open()) {
            float[] theirs = trained(loader, false);
            float[] ours = trained(loader, true);
            for (int i = 0; i < theirs.length; i++) {
                assertThat(ours[i]).isCloseTo(theirs[i], within(1e-6f));
            }
            assertThat(ours).hasSize(3 * 8 * 9 + 8 + 8 * 8 * 9 + 8 + 32 * 3 + 3);
        }
    }

    /** All weights after an epoch by the presets' SGD, or by ours. */
    private static float[] trained(DataLoader loader, boolean byOurs) {
        torch.manual_seed(3);
        try (var _ = new TensorScope();
                Net model = new Net();
                TensorVector parameters = model.parameters();
                SGDOptions options = new SGDOptions(0.1);
                SGD optimizer = new SGD(parameters, options)) {
            List<Tensor> weights = Arrays.stream(parameters.get())
                    .map(JavaCppInterop::fromJavaCpp)
                    .toList();
            try (Optimizer ours = Optimizer.sgd(weights, 0.1, 0, 0)) {
                for (Batch batch : loader) {
                    try (var _ = new TensorScope();
                            var _ = new PointerScope()) {
                        var images = JavaCppInterop.toJavaCpp(batch.get("image"));
                        Tensor logits = JavaCppInterop.fromJavaCpp(model.forward(images));
                        optimizer.zero_grad();
                        Ops.crossEntropy(logits, batch.get("label")).backward();
                        if (byOurs) {
                            ours.step();
                        } else {
                            optimizer.step();
                        }
                    }
                }
            }
            Tensor[] flat = weights.stream()
                    .map(weight -> Ops.flatten(weight.detach(), 0))
                    .toArray(Tensor[]::new);
            return Ops.cat(0, flat).toFloats();
        }
    }
}
