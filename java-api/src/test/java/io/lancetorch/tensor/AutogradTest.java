package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AutogradTest {
    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
        Torch.manualSeed(3);
    }

    @AfterEach
    void close() {
        scope.close();
    }

    /** Compares backward's gradient of each parameter with central differences in float64. */
    private static void check(List<Tensor> parameters, Function<List<Tensor>, Tensor> loss) {
        parameters.forEach(parameter -> parameter.requiresGrad(true));
        loss.apply(parameters).backward();
        double step = 1e-6;
        for (Tensor parameter : parameters) {
            double[] gradient = parameter.grad().toDoubles();
            var data = parameter.data();
            for (int i = 0; i < gradient.length; i++) {
                double value = data.getAtIndex(java.lang.foreign.ValueLayout.JAVA_DOUBLE, i);
                double[] sides = new double[2];
                for (int side = 0; side < 2; side++) {
                    data.setAtIndex(java.lang.foreign.ValueLayout.JAVA_DOUBLE, i, value + (side == 0 ? -step : step));
                    try (var _ = new TensorScope();
                            var _ = GradMode.noGrad()) {
                        sides[side] = loss.apply(parameters).item();
                    }
                }
                data.setAtIndex(java.lang.foreign.ValueLayout.JAVA_DOUBLE, i, value);
                assertThat(gradient[i])
                        .isCloseTo((sides[1] - sides[0]) / (2 * step), within(1e-6 + 1e-5 * Math.abs(gradient[i])));
            }
        }
    }

    @Test
    void gradientsOfALinearClassifierAreFiniteDifferences() {
        Tensor input = Ops.randn(DType.FLOAT64, 4, 3);
        Tensor labels = Tensor.of(new long[] {0, 1, 1, 0});
        check(
                List.of(Ops.randn(DType.FLOAT64, 2, 3), Ops.randn(DType.FLOAT64, 2)),
                p -> Ops.crossEntropy(Ops.linear(input, p.get(0), p.get(1)), labels));
    }

    @Test
    void gradientsOfAConvNetAreFiniteDifferences() {
        Tensor input = Ops.randn(DType.FLOAT64, 2, 2, 5, 5);
        Tensor labels = Tensor.of(new long[] {0, 2});
        check(
                List.of(
                        Ops.randn(DType.FLOAT64, 3, 2, 3, 3),
                        Ops.randn(DType.FLOAT64, 3),
                        Ops.randn(DType.FLOAT64, 3),
                        Ops.randn(DType.FLOAT64, 3)),
                p -> {
                    Tensor x = Ops.conv2d(input, p.get(0), p.get(1), 1, 1, 1);
                    x = Ops.batchNorm(x, p.get(2), p.get(3), null, null, true, 0.1, 1e-5);
                    x = Ops.maxPool2d(Ops.relu(x), 2, 2, 0);
                    return Ops.crossEntropy(Ops.flatten(Ops.adaptiveAvgPool2d(x, 1, 1), 1), labels);
                });
    }

    @Test
    void gradientsAddUpUntilTheyAreTakenAway() {
        Tensor x = Tensor.of(new float[] {3}).requiresGrad(true);
        assertThat(x.grad()).isNull();
        Ops.mul(x, x).backward();
        assertThat(x.grad().item()).isEqualTo(6);
        Ops.mul(x, x).backward();
        assertThat(x.grad().item()).isEqualTo(12);
        x.grad(null);
        assertThat(x.grad()).isNull();
        x.grad(Tensor.of(new float[] {5}));
        assertThat(x.grad().item()).isEqualTo(5);
        assertThatThrownBy(() -> x.grad(Tensor.of(new float[] {5, 6}))).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void backwardFromAGradientWeighsTheOutputs() {
        Tensor x = Tensor.of(new float[] {1, 2}).requiresGrad(true);
        Tensor y = Ops.mul(x, x);
        y.backward(Tensor.of(new float[] {10, 100}), true);
        assertThat(x.grad().toFloats()).containsExactly(20, 400);
        y.backward(Tensor.of(new float[] {1, 1}), false);
        assertThat(x.grad().toFloats()).as("the history was retained").containsExactly(22, 404);
    }

    @Test
    void backwardThatCannotBeIsAnInvalidArgument() {
        Tensor x = Tensor.of(new float[] {1, 2}).requiresGrad(true);
        assertThatThrownBy(() -> Ops.mul(x, x).backward())
                .as("two outputs and no gradient")
                .isInstanceOf(InvalidArgumentException.class);
        Tensor plain = Ops.sum(Tensor.of(new float[] {1, 2}));
        assertThatThrownBy(plain::backward).as("no history").isInstanceOf(InvalidArgumentException.class);
        Tensor loss = Ops.sum(Ops.mul(x, x));
        loss.backward();
        assertThatThrownBy(loss::backward).as("history freed").isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Tensor.of(new long[] {1}).requiresGrad(true))
                .as("integers")
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Ops.mul(x, x).requiresGrad(false))
                .as("no leaf")
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Ops.addInPlace(x, x))
                .as("a leaf changed in place")
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void withoutGradModeNothingIsRecorded() {
        Tensor x = Tensor.of(new float[] {1}).requiresGrad(true);
        assertThat(GradMode.isEnabled()).isTrue();
        GradMode outer = GradMode.noGrad();
        try (outer) {
            assertThat(GradMode.isEnabled()).isFalse();
            assertThat(Ops.mul(x, x).requiresGrad()).isFalse();
            try (var _ = GradMode.enableGrad()) {
                assertThat(Ops.mul(x, x).requiresGrad()).isTrue();
            }
            assertThat(GradMode.isEnabled()).isFalse();
        }
        assertThat(GradMode.isEnabled()).isTrue();
        try (var _ = GradMode.noGrad()) {
            outer.close();
            assertThat(GradMode.isEnabled()).as("a second close does nothing").isFalse();
        }
        assertThat(Ops.mul(x, x).requiresGrad()).isTrue();
        assertThat(Ops.mul(x, x).detach().requiresGrad()).isFalse();
    }

    @Test
    void gradModeIsEachThreadsOwn() throws InterruptedException {
        try (var mode = GradMode.noGrad()) {
            var enabled = new AtomicReference<Boolean>();
            var thrown = new AtomicReference<Throwable>();
            Thread.ofPlatform()
                    .start(() -> {
                        enabled.set(GradMode.isEnabled());
                        thrown.set(catchThrowable(mode::close));
                    })
                    .join();
            assertThat(enabled.get()).isTrue();
            assertThat(thrown.get()).isInstanceOf(IllegalStateException.class);
            assertThat(GradMode.isEnabled()).isFalse();
        }
    }

    @Test
    void closingIntermediatesBeforeBackwardDoesNotMatter() {
        Tensor x = Tensor.of(new float[] {2}).requiresGrad(true);
        Tensor loss;
        try (var inner = new TensorScope()) {
            Tensor y = Ops.mul(x, x);
            loss = inner.moveToOuter(Ops.sum(Ops.mul(y, y)));
        }
        loss.backward();
        assertThat(x.grad().item()).isEqualTo(32);
    }
}
