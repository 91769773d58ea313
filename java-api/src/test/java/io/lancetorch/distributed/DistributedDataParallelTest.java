package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.GradMode;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(120)
class DistributedDataParallelTest {
    private static final int BATCH = 6;
    private static final int STEPS = 10;

    /** A small conv net without batch norm, whose values follow from {@code seed} alone. */
    private static final class Net {
        final List<Tensor> parameters;

        Net(long seed) {
            parameters = List.of(
                    parameter(seed, 8, 3, 3, 3),
                    parameter(seed + 1, 8),
                    parameter(seed + 2, 16, 8, 3, 3),
                    parameter(seed + 3, 16),
                    parameter(seed + 4, 10, 16),
                    parameter(seed + 5, 10));
        }

        private static Tensor parameter(long seed, long... shape) {
            return values(seed, 0.2f, shape).requiresGrad(true);
        }

        Tensor forward(Tensor images) {
            Tensor x = Ops.relu(Ops.conv2d(images, parameters.get(0), parameters.get(1), 1, 1, 1));
            x = Ops.maxPool2d(x, 2, 2, 0);
            x = Ops.relu(Ops.conv2d(x, parameters.get(2), parameters.get(3), 1, 1, 1));
            x = Ops.flatten(Ops.adaptiveAvgPool2d(x, 1, 1), 1);
            return Ops.linear(x, parameters.get(4), parameters.get(5));
        }

        double[] all() {
            return parameters.stream()
                    .flatMapToDouble(parameter -> java.util.Arrays.stream(parameter.toDoubles()))
                    .toArray();
        }
    }

    private static Tensor values(long seed, float scale, long... shape) {
        var random = new Random(seed);
        int count = 1;
        for (long size : shape) {
            count *= (int) size;
        }
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian() * scale;
        }
        return Tensor.of(values, shape);
    }

    private static Tensor images(int step) {
        return values(1000 + step, 1, 2 * BATCH, 3, 8, 8);
    }

    private static Tensor labels(int step) {
        return Tensor.of(new Random(step).longs(2 * BATCH, 0, 10).toArray());
    }

    private static double[] oneProcess() {
        try (var _ = new TensorScope()) {
            var net = new Net(42);
            try (var optimizer = Optimizer.sgd(net.parameters, 0.1, 0.9, 1e-4)) {
                for (int step = 0; step < STEPS; step++) {
                    try (var _ = new TensorScope()) {
                        Ops.crossEntropy(net.forward(images(step)), labels(step))
                                .backward();
                        optimizer.step();
                        optimizer.zeroGrad();
                    }
                }
            }
            return net.all();
        }
    }

    /** With 1 KiB, each of the larger parameters is a bucket of its own; 0 is one bucket for all. */
    @ParameterizedTest
    @CsvSource({"1024, false", "4096, true", "0, false"})
    void twoRanksWithHalfTheBatchEqualOneProcess(long bucketBytes, boolean findUnused) throws Exception {
        double[] expected = oneProcess();
        List<double[]> ranks = Ranks.run(2, double[].class, group -> {
            // Rank 1 begins with other values: the start must give it rank 0's.
            var net = new Net(group.rank() == 0 ? 42 : 77);
            try (var ddp = new DistributedDataParallel(group, net.parameters, List.of(), bucketBytes, findUnused);
                    var optimizer = Optimizer.sgd(net.parameters, 0.1, 0.9, 1e-4)) {
                for (int step = 0; step < STEPS; step++) {
                    try (var _ = new TensorScope()) {
                        Tensor mine = Ops.narrow(images(step), 0, (long) group.rank() * BATCH, BATCH);
                        Tensor target = Ops.narrow(labels(step), 0, (long) group.rank() * BATCH, BATCH);
                        Tensor logits = ddp.forward(() -> net.forward(mine));
                        Ops.crossEntropy(logits, target).backward();
                        optimizer.step();
                        optimizer.zeroGrad();
                    }
                }
                return net.all();
            }
        });
        assertThat(ranks.get(1)).as("both ranks have the same, bit by bit").isEqualTo(ranks.get(0));
        double most = 0;
        double moved = 0;
        double[] start;
        try (var _ = new TensorScope()) {
            start = new Net(42).all();
        }
        for (int i = 0; i < expected.length; i++) {
            most = Math.max(most, Math.abs(expected[i] - ranks.get(0)[i]));
            moved = Math.max(moved, Math.abs(expected[i] - start[i]));
        }
        System.out.printf(
                "two ranks against one process, buckets of %d: largest difference %.2e, after a move of %.2e%n",
                bucketBytes, most, moved);
        assertThat(moved).as("training moved the parameters").isGreaterThan(1e-2);
        assertThat(most).isLessThan(1e-5);
    }

    @Test
    void gradientsAreAveragesOverRanks() throws Exception {
        Ranks.run(3, Boolean.class, group -> {
            Tensor weight = Tensor.of(new float[] {1, 1}).requiresGrad(true);
            try (var ddp = new DistributedDataParallel(group, List.of(weight), List.of())) {
                Tensor input = Tensor.of(new float[] {group.rank(), 10});
                ddp.forward(() -> Ops.sum(Ops.mul(weight, input))).backward();
                assertThat(weight.grad().toFloats()).containsExactly(1, 10);
            }
            return true;
        });
    }

    /** Rank 0 takes 5 of the 8 rows, rank 1 takes 3, and rank 2 has run out of them. */
    @Test
    void gradientsOfUnevenRowsEqualThoseOfOneProcessOverAllRows() throws Exception {
        double[] expected;
        try (var _ = new TensorScope()) {
            var net = new Net(42);
            Ops.crossEntropy(net.forward(Ops.narrow(images(0), 0, 0, 8)), Ops.narrow(labels(0), 0, 0, 8))
                    .backward();
            expected = gradients(net);
        }
        long[] from = {0, 5, 8};
        long[] count = {5, 3, 0};
        List<double[]> ranks = Ranks.run(3, double[].class, group -> {
            var net = new Net(42);
            try (var ddp = new DistributedDataParallel(group, net.parameters, List.of(), 1024, false)) {
                for (int step = 0; step < 2; step++) {
                    net.parameters.forEach(parameter -> parameter.grad(null));
                    int rank = group.rank();
                    if (count[rank] == 0) {
                        assertThat(ddp.weightedBackward(null, 0)).isEqualTo(8);
                    } else {
                        Tensor mine = Ops.narrow(images(0), 0, from[rank], count[rank]);
                        Tensor logits = ddp.forward(() -> net.forward(mine));
                        Tensor loss = Ops.crossEntropy(logits, Ops.narrow(labels(0), 0, from[rank], count[rank]));
                        assertThat(ddp.weightedBackward(loss, count[rank])).isEqualTo(8);
                    }
                }
                double[] gradients = gradients(net);
                net.parameters.forEach(parameter -> parameter.grad(null));
                assertThat(ddp.weightedBackward(null, 0)).as("all have run out").isZero();
                assertThat(gradients(net)).containsOnly(0);
                assertThatThrownBy(() -> ddp.weightedBackward(null, 1)).isInstanceOf(InvalidArgumentException.class);
                return gradients;
            }
        });
        for (double[] gradients : ranks) {
            assertThat(gradients).hasSameSizeAs(expected);
            for (int i = 0; i < expected.length; i++) {
                assertThat(gradients[i]).isCloseTo(expected[i], org.assertj.core.api.Assertions.within(1e-6));
            }
        }
    }

    private static double[] gradients(Net net) {
        return net.parameters.stream()
                .flatMapToDouble(
                        parameter -> java.util.Arrays.stream(parameter.grad().toDoubles()))
                .toArray();
    }

    @Test
    void startAndBroadcastGiveAllRanksRankZerosValues() throws Exception {
        Ranks.run(2, Boolean.class, group -> {
            int rank = group.rank();
            Tensor weight = Tensor.of(new float[] {rank + 5}).requiresGrad(true);
            Tensor mean = Tensor.of(new float[] {rank + 7});
            Tensor count = Tensor.of(new long[] {rank + 9});
            try (var ddp = new DistributedDataParallel(group, List.of(weight), List.of(mean, count))) {
                assertThat(weight.item()).isEqualTo(5);
                assertThat(mean.item()).isEqualTo(7);
                assertThat(count.itemLong()).isEqualTo(9);
                Ops.fillInPlace(mean, rank + 20);
                ddp.broadcastBuffers();
                assertThat(mean.item()).isEqualTo(20);
            }
            return true;
        });
    }

    @Test
    void parameterWithoutAGradientIsFineWhereSaid() throws Exception {
        Ranks.run(2, Boolean.class, group -> {
            Tensor used = Tensor.of(new float[] {1}).requiresGrad(true);
            Tensor unused = Tensor.of(new float[] {1}).requiresGrad(true);
            try (var ddp = new DistributedDataParallel(group, List.of(used, unused), List.of(), 0, true)) {
                for (int step = 0; step < 3; step++) {
                    used.grad(null);
                    ddp.forward(() -> Ops.mul(used, group.rank() + 1)).backward();
                    assertThat(used.grad().item()).isEqualTo(1.5);
                }
            }
            return true;
        });
    }

    @Test
    void withoutGradientsTheModelJustRuns() throws Exception {
        Ranks.run(2, Boolean.class, group -> {
            Tensor weight = Tensor.of(new float[] {2}).requiresGrad(true);
            try (var ddp = new DistributedDataParallel(group, List.of(weight), List.of())) {
                if (group.rank() == 0) {
                    try (var _ = GradMode.noGrad()) {
                        assertThat(ddp.forward(() -> Ops.mul(weight, 3)).item()).isEqualTo(6);
                    }
                }
                ddp.forward(() -> Ops.mul(weight, 1)).backward();
                assertThat(weight.grad().item()).isEqualTo(1);
            }
            return true;
        });
    }

    @Test
    void modelsThatDifferBetweenRanksAreRefused() throws Exception {
        List<Object> outcomes = Ranks.outcomes(2, Duration.ofSeconds(10), group -> {
            Tensor weight = Ops.ones(DType.FLOAT32, group.rank() == 0 ? 3 : 4).requiresGrad(true);
            try (var ddp = new DistributedDataParallel(group, List.of(weight), List.of())) {
                return ddp;
            }
        });
        assertThat(outcomes).allSatisfy(outcome -> assertThat(outcome).isInstanceOf(LanceTorchException.class));
        assertThat(outcomes).anySatisfy(outcome -> assertThat(outcome).isInstanceOf(InvalidArgumentException.class));
        assertThat(Torch.liveHandles(Torch.Kind.REDUCER)).isZero();
    }

    @Test
    void modelsThatCannotBeAveragedAreRefused() throws Exception {
        Ranks.run(1, Boolean.class, group -> {
            assertThatThrownBy(() -> new DistributedDataParallel(group, List.of(), List.of()))
                    .isInstanceOf(InvalidArgumentException.class);
            Tensor frozen = Ops.ones(DType.FLOAT32, 2);
            assertThatThrownBy(() -> new DistributedDataParallel(group, List.of(frozen), List.of()))
                    .isInstanceOf(InvalidArgumentException.class);
            return true;
        });
    }

    @Test
    void bufferThatCannotBeSentLeavesNoReducer() throws Exception {
        Ranks.run(1, Boolean.class, group -> {
            Tensor weight = Ops.ones(DType.FLOAT32, 2).requiresGrad(true);
            Tensor closed = Ops.ones(DType.FLOAT32, 2);
            closed.close();
            assertThatThrownBy(() -> new DistributedDataParallel(group, List.of(weight), List.of(closed)))
                    .isInstanceOf(IllegalStateException.class);
            return true;
        });
        assertThat(Torch.liveHandles(Torch.Kind.REDUCER)).isZero();
    }

    @Test
    void useAfterCloseIsSaid() throws Exception {
        Ranks.run(1, Boolean.class, group -> {
            Tensor weight = Ops.ones(DType.FLOAT32, 1).requiresGrad(true);
            var ddp = new DistributedDataParallel(group, List.of(weight), List.of());
            ddp.close();
            ddp.close();
            assertThatThrownBy(() -> ddp.forward(() -> Ops.mul(weight, 2)))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("DistributedDataParallel");
            return true;
        });
    }
}
