package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class OpsTest {
    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static Tensor floats(double... values) {
        return Tensor.of(values).to(DType.FLOAT32);
    }

    // ---- the typed names ----

    @Test
    void arithmeticBroadcasts() {
        Tensor matrix = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
        Tensor row = Tensor.of(new float[] {10, 20, 30});
        assertThat(Ops.add(matrix, row).toFloats()).containsExactly(11, 22, 33, 14, 25, 36);
        assertThat(Ops.sub(matrix, row).toFloats()).containsExactly(-9, -18, -27, -6, -15, -24);
        assertThat(Ops.mul(matrix, row).toFloats()).containsExactly(10, 40, 90, 40, 100, 180);
        assertThat(Ops.div(row, matrix).toFloats()).containsExactly(10, 10, 10, 2.5f, 4, 5);
        assertThat(Ops.mul(row, 0.5).toFloats()).containsExactly(5, 10, 15);
        assertThat(Ops.div(row, 4).toFloats()).containsExactly(2.5f, 5, 7.5f);
        Tensor column = Tensor.of(new float[] {100, 200}, 2, 1);
        assertThat(Ops.add(column, row).shape()).containsExactly(2, 3);
        assertThat(Ops.abs(floats(-1, 2)).toFloats()).containsExactly(1, 2);
    }

    @Test
    void inPlaceNamesChangeAndReturnTheirFirstArgument() {
        Tensor target = floats(1, -2);
        assertThat(Ops.addInPlace(target, floats(10, 20), 0.5)).isSameAs(target);
        assertThat(target.toFloats()).containsExactly(6, 8);
        assertThat(Ops.addInPlace(target, floats(1, 1))).isSameAs(target);
        assertThat(Ops.mulInPlace(target, -1).toFloats()).containsExactly(-7, -9);
        assertThat(Ops.reluInPlace(target).toFloats()).containsExactly(0, 0);
        assertThat(Ops.fillInPlace(target, 3).toFloats()).containsExactly(3, 3);
        Ops.normalInPlace(target, 5, 0);
        assertThat(target.toFloats()).containsExactly(5, 5);
        Ops.uniformInPlace(target, 1, 2);
        assertThat(Arrays.stream(target.toDoubles())).allMatch(value -> value >= 1 && value < 2);
    }

    @Test
    void inPlaceCallsLeaveNoHandleBehind() {
        Tensor target = floats(1, 2);
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        Ops.addInPlace(target, target);
        Ops.fillInPlace(target, 1);
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }

    @Test
    void matricesAreMultiplied() {
        Tensor a = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
        Tensor b = Tensor.of(new float[] {5, 6, 7, 8}, 2, 2);
        assertThat(Ops.matmul(a, b).toFloats()).containsExactly(19, 22, 43, 50);
        assertThat(Ops.linear(a, b, floats(100, 200)).toFloats()).containsExactly(117, 223, 139, 253);
        assertThat(Ops.linear(a, b, null).toFloats()).containsExactly(17, 23, 39, 53);
    }

    @Test
    void convolutionAddsUpAWindow() {
        Tensor input = Ops.reshape(Ops.arange(16).to(DType.FLOAT32), 1, 1, 4, 4);
        Tensor weight = Ops.ones(DType.FLOAT32, 1, 1, 3, 3);
        assertThat(Ops.conv2d(input, weight, null, 1, 0, 1).toFloats()).containsExactly(45, 54, 81, 90);
        assertThat(Ops.conv2d(input, weight, floats(1), 2, 1, 1).toFloats()).containsExactly(11, 25, 52, 91);
        Tensor two = Ops.cat(1, input, Ops.mul(input, 2));
        Tensor weights = Ops.ones(DType.FLOAT32, 2, 1, 3, 3);
        assertThat(Ops.conv2d(two, weights, null, 1, 0, 2).toFloats())
                .as("two groups")
                .containsExactly(45, 54, 81, 90, 90, 108, 162, 180);
    }

    @Test
    void channelsLastGivesTheSameConvolutionAndStaysChannelsLast() {
        Torch.manualSeed(1);
        Tensor input = Ops.randn(DType.FLOAT32, 2, 8, 6, 6);
        Tensor weight = Ops.randn(DType.FLOAT32, 4, 8, 3, 3);
        Tensor plain = Ops.conv2d(input, weight, null, 1, 1, 1);
        Tensor last =
                Ops.conv2d(input.to(MemoryFormat.CHANNELS_LAST), weight.to(MemoryFormat.CHANNELS_LAST), null, 1, 1, 1);
        assertThat(last.strides()[1]).as("stride between channels").isEqualTo(1);
        assertThat(Ops.max(Ops.abs(Ops.sub(plain, last))).item()).isLessThan(1e-4);
    }

    @Test
    void batchNormNormalisesAndMovesItsMeans() {
        Tensor input = Tensor.of(new float[] {1, 3, 5, 7}, 2, 1, 2, 1);
        Tensor mean = Ops.zeros(DType.FLOAT32, 1);
        Tensor variance = Ops.ones(DType.FLOAT32, 1);
        Tensor out = Ops.batchNorm(input, floats(2), floats(1), mean, variance, true, 0.1, 0);
        double deviation = Math.sqrt(5); // of 1, 3, 5, 7 around 4
        for (int i = 0; i < 4; i++) {
            assertThat((double) out.toFloats()[i]).isCloseTo(2 * (2 * i - 3) / deviation + 1, within(1e-5));
        }
        assertThat(mean.item()).isCloseTo(0.4, within(1e-6));
        assertThat(variance.item()).isCloseTo(0.9 + 0.1 * 20 / 3, within(1e-6));
        Tensor still = Ops.batchNorm(input, null, null, floats(4), floats(4), false, 0.1, 0);
        assertThat(still.toFloats()).containsExactly(-1.5f, -0.5f, 0.5f, 1.5f);
    }

    @Test
    void poolsTakeMaximaAndMeans() {
        Tensor input = Ops.reshape(Ops.arange(16).to(DType.FLOAT32), 1, 1, 4, 4);
        assertThat(Ops.maxPool2d(input, 2, 2, 0).toFloats()).containsExactly(5, 7, 13, 15);
        assertThat(Ops.adaptiveAvgPool2d(input, 1, 1).item()).isEqualTo(7.5);
        assertThat(Ops.adaptiveAvgPool2d(input, 2, 1).toFloats()).containsExactly(3.5f, 11.5f);
    }

    @Test
    void crossEntropyIsTheMeanOfMinusLogSoftmax() {
        Tensor logits = Tensor.of(new float[] {1, 2, 3, 0, 0, 0}, 2, 3);
        double first = -Math.log(Math.exp(3) / (Math.exp(1) + Math.exp(2) + Math.exp(3)));
        assertThat(Ops.crossEntropy(logits, Tensor.of(new long[] {2, 0})).item())
                .isCloseTo((first + Math.log(3)) / 2, within(1e-6));
        assertThat(Ops.softmax(logits, 1).toDoubles()[3]).isCloseTo(1 / 3.0, within(1e-7));
        assertThat(Ops.relu(floats(-1, 2)).toFloats()).containsExactly(0, 2);
    }

    @Test
    void reductionsAndComparisons() {
        Tensor matrix = Tensor.of(new float[] {1, 9, 3, 7, 5, 6}, 2, 3);
        assertThat(Ops.argmax(matrix, 1).toLongs()).containsExactly(1, 0);
        assertThat(Ops.sum(matrix).item()).isEqualTo(31);
        assertThat(Ops.mean(matrix).item()).isCloseTo(31 / 6.0, within(1e-6));
        assertThat(Ops.max(matrix).item()).isEqualTo(9);
        Tensor same = Ops.eq(matrix, Tensor.of(new float[] {1, 0, 3}));
        assertThat(same.dtype()).isEqualTo(DType.BOOL);
        assertThat(Ops.sum(same).itemLong()).isEqualTo(2);
        assertThat(Ops.equal(matrix, Ops.clone(matrix))).isTrue();
        assertThat(Ops.equal(matrix, Ops.reshape(matrix, 3, 2))).isFalse();
    }

    @Test
    void shapesAreViewsWhereTheyCanBe() {
        Tensor matrix = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
        assertThat(Ops.reshape(matrix, -1, 2).shape()).containsExactly(3, 2);
        assertThat(Ops.reshape(matrix, 6).dataPointer()).isEqualTo(matrix.dataPointer());
        assertThat(Ops.flatten(Ops.reshape(matrix, 2, 3, 1), 1).shape()).containsExactly(2, 3);
        assertThat(Ops.narrow(matrix, 1, 1, 2).toFloats()).containsExactly(2, 3, 5, 6);
        assertThat(Ops.permute(matrix, 1, 0).toFloats()).containsExactly(1, 4, 2, 5, 3, 6);
        assertThat(Ops.cat(0, matrix, matrix).shape()).containsExactly(4, 3);
        assertThat(Ops.stack(0, matrix, matrix).shape()).containsExactly(2, 2, 3);
        assertThat(Ops.clone(matrix).dataPointer()).isNotEqualTo(matrix.dataPointer());
        assertThat(Ops.contiguous(matrix).dataPointer()).isEqualTo(matrix.dataPointer());
        assertThat(Ops.ones(DType.INT32, 2).toLongs()).containsExactly(1, 1);
        assertThat(Ops.arange(3).dtype()).isEqualTo(DType.INT64);
    }

    // ---- the generic call ----

    @Test
    void anyOperatorIsCalledByItsSchema() {
        Op gelu = Op.find("aten::gelu", "");
        assertThat(gelu.schema()).startsWith("aten::gelu(Tensor self");
        assertThat(gelu).hasToString("aten::gelu");
        assertThat(gelu.call(floats(0, 1)).toDoubles()[1]).isCloseTo(0.8413447, within(1e-5));
        assertThat(gelu.call(floats(0, 1), "tanh").toDoubles()[1]).isCloseTo(0.841192, within(1e-5));
        Op clamp = Op.find("aten::clamp", "");
        assertThat(clamp.call(floats(-5, 5), null, 2).toFloats())
                .as("None and an int")
                .containsExactly(-5, 2);
        Op cumsum = Op.find("aten::cumsum", "");
        assertThat(cumsum.call(Tensor.of(new int[] {1, 2}), 0, DType.FLOAT64).dtype())
                .isEqualTo(DType.FLOAT64);
        Op full = Op.find("aten::full", "");
        assertThat(full.call(new int[] {2}, 1.5f, DType.FLOAT64, Op.DEFAULT, Device.CPU, false)
                        .toDoubles())
                .containsExactly(1.5, 1.5);
        Op interpolate = Op.find("aten::upsample_bilinear2d", "vec");
        assertThat(interpolate
                        .call(Ops.ones(DType.FLOAT32, 1, 1, 2, 2), null, false, new double[] {2, 2})
                        .shape())
                .containsExactly(1, 1, 4, 4);
        Op index = Op.find("aten::index", "Tensor");
        Tensor matrix = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
        assertThat(index.call(matrix, new Tensor[] {null, Tensor.of(new long[] {1})})
                        .toFloats())
                .as("a list with an undefined tensor")
                .containsExactly(2, 4);
        Op flip = Op.find("aten::flip", "");
        assertThat(flip.call(floats(1, 2), new long[] {0}).toFloats()).containsExactly(2, 1);
        assertThat(Op.find("aten::sum", "dim_IntList").call(matrix, null, true).shape())
                .containsExactly(1, 1);
    }

    @Test
    void manyResultsComeBackInOrder() {
        Object[] sorted = Op.find("aten::sort", "").callAll(floats(3, 1, 2));
        assertThat(((Tensor) sorted[0]).toFloats()).containsExactly(1, 2, 3);
        assertThat(((Tensor) sorted[1]).toLongs()).containsExactly(1, 2, 0);
        Tensor[] parts = (Tensor[]) Op.find("aten::split", "Tensor").callAll(floats(1, 2, 3), 2)[0];
        assertThat(parts).hasSize(2);
        assertThat(parts[1].toFloats()).containsExactly(3);
        assertThat(Op.find("aten::is_same_size", "").callAll(floats(1), floats(2))[0])
                .isEqualTo(true);
        assertThat(Op.find("aten::size", "int").callAll(floats(1, 2), 0)[0]).isEqualTo(2L);
    }

    @Test
    void callOfAnOperatorWithManyResultsSaysSoAndKeepsNone() {
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        Op sort = Op.find("aten::sort", "");
        Tensor input = floats(3, 1, 2);
        scope.close();
        try (Tensor free = Tensor.of(new float[] {3, 1, 2})) {
            assertThatThrownBy(() -> sort.call(free))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContainingAll("aten::sort", "callAll");
        }
        assertThat(input.isClosed()).isTrue();
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }

    @Test
    void shapesThatDoNotMatchAreAnInvalidArgument() {
        assertThatThrownBy(() -> Ops.add(Ops.ones(DType.FLOAT32, 2, 3), Ops.ones(DType.FLOAT32, 4)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("(3)")
                .hasMessageContaining("(4)");
        assertThatThrownBy(() -> Ops.matmul(Ops.ones(DType.FLOAT32, 2, 3), Ops.ones(DType.FLOAT32, 2, 3)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("2x3");
        assertThatThrownBy(() -> Ops.reshape(Ops.arange(6), 4)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Ops.narrow(Ops.arange(6), 0, 5, 3)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Ops.matmul(Ops.ones(DType.FLOAT32, 2, 2), Ops.ones(DType.INT64, 2, 2)))
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Ops.crossEntropy(Ops.ones(DType.FLOAT32, 1, 3), Tensor.of(new long[] {3})))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void argumentOfTheWrongKindNamesOperatorAndArgument() {
        Op conv = Op.find("aten::conv2d", "");
        Tensor input = Ops.ones(DType.FLOAT32, 1, 1, 4, 4);
        Tensor weight = Ops.ones(DType.FLOAT32, 1, 1, 3, 3);
        assertThatThrownBy(() -> conv.call(input, "weight"))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("aten::conv2d", "weight");
        assertThatThrownBy(() -> conv.call(input, weight, null, new double[] {1.5, 1.5}))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("aten::conv2d", "stride");
        assertThatThrownBy(() -> conv.call(null, weight))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("aten::conv2d", "input");
        assertThatThrownBy(() -> conv.call(input))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("aten::conv2d", "weight");
        assertThatThrownBy(() -> conv.call(input, Op.DEFAULT))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("aten::conv2d", "weight");
        assertThatThrownBy(() -> Op.find("aten::relu", "").call(input, 1, 2))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("aten::relu");
        assertThatThrownBy(() -> conv.call(input, Thread.currentThread()))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("aten::conv2d", "java.lang.Thread");
    }

    @Test
    void callAfterAFailedOneStartsAfresh() {
        Op conv = Op.find("aten::conv2d", "");
        assertThatThrownBy(() -> conv.call(floats(1), Thread.currentThread()))
                .isInstanceOf(InvalidArgumentException.class);
        assertThat(Ops.add(floats(1), floats(2)).item()).isEqualTo(3);
    }

    @Test
    void longListsAreArgumentsToo() {
        Tensor[] many = new Tensor[5000];
        Arrays.setAll(many, i -> Tensor.of(new float[] {i}));
        Tensor joined = Ops.cat(0, many);
        assertThat(joined.count()).isEqualTo(5000);
        assertThat(Ops.sum(joined).item()).isEqualTo(4999 * 2500.0);
        assertThat(Ops.cat(0, many).count()).as("once more").isEqualTo(5000);
        assertThat(Ops.zeros(DType.FLOAT32, new long[2000]).shape()).hasSize(2000);
        String text = "x".repeat(10_000);
        assertThatThrownBy(() -> Op.find("aten::gelu", "").call(floats(1), text))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void operatorThatIsNotThereListsTheOverloads() {
        assertThatThrownBy(() -> Op.find("aten::add", "Tenser"))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContainingAll("aten::add", "Tenser", "Tensor", "Scalar", "out");
        assertThatThrownBy(() -> Op.find("aten::no_such_operator", ""))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("aten::no_such_operator");
        assertThatThrownBy(() -> Op.find("", "")).isInstanceOf(io.lancetorch.error.LanceTorchException.class);
    }
}
