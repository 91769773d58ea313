package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.testing.Devices;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Steps against the published formulas, computed here in double. */
class OptimizerTest {
    private static final double[] START = {1, -2, 0.5};
    private static final double[][] GRADIENTS = {{0.5, -1, 2}, {0.25, 3, -1}, {-1, 0, 0.125}, {2, 2, 2}};

    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static void run(Tensor parameter, Optimizer optimizer) {
        for (double[] gradient : GRADIENTS) {
            parameter.grad(Tensor.of(gradient));
            optimizer.step();
        }
    }

    private static void assertClose(Tensor tensor, double[] expected) {
        assertThat(tensor.toDoubles()).containsExactly(expected, within(1e-12));
    }

    private static List<Device> devices() {
        return Devices.all();
    }

    /** The fused kernels' steps beside libtorch's plain ones, with state that goes from one kind to the other on the way. */
    @ParameterizedTest
    @MethodSource("devices")
    void fusedKernelsStepAsPlainOnesDo(Device device) {
        List<Function<List<Tensor>, Optimizer>> kinds = List.of(
                parameters -> Optimizer.sgd(parameters, 0.1, 0, 0),
                parameters -> Optimizer.sgd(parameters, 0.1, 0.9, 0.01),
                parameters -> Optimizer.sgd(parameters, 0.1, 0.9, 0.1, 0.01, false),
                parameters -> Optimizer.sgd(parameters, 0.1, 0.9, 0, 0.01, true),
                parameters -> Optimizer.adamW(parameters, 0.1, 0.01),
                parameters -> Optimizer.adamW(parameters, 0.1, 0.8, 0.99, 1e-6, 0.1, true));
        for (Function<List<Tensor>, Optimizer> kind : kinds) {
            List<Tensor> plain = parameters(device);
            List<Tensor> fused = parameters(device);
            try (Optimizer expected = kind.apply(plain);
                    Optimizer first = kind.apply(fused).fused(true);
                    Optimizer second = kind.apply(fused).fused(true)) {
                assertThat(first.isFused()).isTrue();
                for (int step = 0; step < 6; step++) {
                    for (int i = 0; i < plain.size(); i++) {
                        // The last one gets its first gradient late.
                        Tensor grad = step < 2 && i == 2 ? null : gradient(plain.get(i), step);
                        plain.get(i).grad(grad);
                        fused.get(i).grad(grad == null ? null : Ops.clone(grad));
                    }
                    expected.step();
                    (step < 3 ? first : second).step();
                    if (step == 2) {
                        second.loadStateDict(first.stateDict());
                    }
                }
                for (int i = 0; i < plain.size(); i++) {
                    assertThat(fused.get(i).toFloats())
                            .containsExactly(plain.get(i).toFloats(), within(1e-5f));
                }
                assertThat(second.stateDict().toString()).contains("fused=true");
            }
        }
    }

    private static List<Tensor> parameters(Device device) {
        Tensor convolution = Ops.reshape(Ops.arange(36).to(DType.FLOAT32), 2, 2, 3, 3);
        return List.of(
                Ops.fillInPlace(Tensor.empty(DType.FLOAT32, 5), 1).to(device).requiresGrad(true),
                Ops.mul(convolution, 0.1)
                        .to(MemoryFormat.CHANNELS_LAST)
                        .to(device)
                        .requiresGrad(true),
                Ops.fillInPlace(Tensor.empty(DType.FLOAT32, 3), -1).to(device).requiresGrad(true));
    }

    /** In row-major order, which is not that of every parameter. */
    private static Tensor gradient(Tensor parameter, int step) {
        Tensor values = Ops.reshape(Ops.arange(parameter.count()).to(DType.FLOAT32), parameter.shape());
        return Ops.mul(values, 0.01 * (step - 2)).to(parameter.device());
    }

    @ParameterizedTest
    @CsvSource({"0, 0, 0, false", "0.9, 0, 0, false", "0.9, 0.1, 0.01, false", "0.9, 0, 0.01, true"})
    void sgdFollowsItsFormula(double momentum, double dampening, double weightDecay, boolean nesterov) {
        Tensor parameter = Tensor.of(START).requiresGrad(true);
        try (var optimizer = Optimizer.sgd(List.of(parameter), 0.1, momentum, dampening, weightDecay, nesterov)) {
            run(parameter, optimizer);
        }
        double[] expected = START.clone();
        double[] velocity = new double[3];
        for (int t = 0; t < GRADIENTS.length; t++) {
            for (int i = 0; i < 3; i++) {
                double g = GRADIENTS[t][i] + weightDecay * expected[i];
                velocity[i] = t == 0 ? g : momentum * velocity[i] + (1 - dampening) * g;
                double move = momentum == 0 ? g : nesterov ? g + momentum * velocity[i] : velocity[i];
                expected[i] -= 0.1 * move;
            }
        }
        assertClose(parameter, expected);
    }

    @ParameterizedTest
    @CsvSource({"0.01, false", "0, false", "0.01, true"})
    void adamWFollowsItsFormula(double weightDecay, boolean amsgrad) {
        Tensor parameter = Tensor.of(START).requiresGrad(true);
        try (var optimizer = Optimizer.adamW(List.of(parameter), 0.01, 0.9, 0.99, 1e-8, weightDecay, amsgrad)) {
            run(parameter, optimizer);
        }
        double[] expected = START.clone();
        double[] m = new double[3];
        double[] v = new double[3];
        double[] most = new double[3];
        for (int t = 1; t <= GRADIENTS.length; t++) {
            for (int i = 0; i < 3; i++) {
                double g = GRADIENTS[t - 1][i];
                expected[i] *= 1 - 0.01 * weightDecay;
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.99 * v[i] + 0.01 * g * g;
                most[i] = Math.max(most[i], v[i]);
                double second = (amsgrad ? most[i] : v[i]) / (1 - Math.pow(0.99, t));
                expected[i] -= 0.01 * (m[i] / (1 - Math.pow(0.9, t))) / (Math.sqrt(second) + 1e-8);
            }
        }
        assertClose(parameter, expected);
    }

    @Test
    void parametersWithoutAGradientStay() {
        Tensor with = Tensor.of(new double[] {1}).requiresGrad(true);
        Tensor without = Tensor.of(new double[] {1}).requiresGrad(true);
        try (var optimizer = Optimizer.sgd(List.of(with, without), 0.5, 0, 0)) {
            with.grad(Tensor.of(new double[] {1}));
            optimizer.step();
        }
        assertThat(with.item()).isEqualTo(0.5);
        assertThat(without.item()).isEqualTo(1);
    }

    @Test
    void zeroGradTakesGradientsAwayOrFillsThem() {
        Tensor parameter = Tensor.of(new double[] {1}).requiresGrad(true);
        try (var optimizer = Optimizer.adamW(List.of(parameter), 0.1, 0)) {
            parameter.grad(Tensor.of(new double[] {3}));
            optimizer.zeroGrad(false);
            assertThat(parameter.grad().item()).isZero();
            optimizer.zeroGrad();
            assertThat(parameter.grad()).isNull();
        }
    }

    @Test
    void learningRateIsSeenAndSet() {
        Tensor parameter = Tensor.of(new double[] {1}).requiresGrad(true);
        try (var optimizer = Optimizer.sgd(List.of(parameter), 0.5, 0, 0)) {
            assertThat(optimizer.learningRate()).isEqualTo(0.5);
            optimizer.learningRate(0.25);
            assertThat(optimizer.learningRate()).isEqualTo(0.25);
            parameter.grad(Tensor.of(new double[] {1}));
            optimizer.step();
        }
        assertThat(parameter.item()).isEqualTo(0.75);
    }

    @Test
    void parametersMayBeClosedBeforeTheOptimizer() {
        Tensor parameter = Tensor.of(new double[] {1}).requiresGrad(true);
        parameter.grad(Tensor.of(new double[] {1}));
        try (var optimizer = Optimizer.sgd(List.of(parameter), 0.5, 0, 0)) {
            parameter.close();
            optimizer.step();
            assertThat(optimizer.learningRate()).isEqualTo(0.5);
        }
    }

    @Test
    void optionsThatCannotBeAreRefused() {
        Tensor parameter = Tensor.of(new double[] {1}).requiresGrad(true);
        List<Tensor> one = List.of(parameter);
        assertThatThrownBy(() -> Optimizer.sgd(List.of(), 0.1, 0, 0)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Optimizer.sgd(one, -1, 0, 0)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Optimizer.sgd(one, 0.1, 0, 0, 0, true))
                .as("Nesterov without momentum")
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Optimizer.adamW(one, 0.1, 1.5, 0.9, 1e-8, 0, false))
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Optimizer.adamW(List.of(), 0.1, 0)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void useAfterCloseIsSaidAndClosingTwiceDoesNothing() {
        Tensor parameter = Tensor.of(new double[] {1}).requiresGrad(true);
        var optimizer = Optimizer.sgd(List.of(parameter), 0.5, 0, 0);
        assertThat(Torch.liveHandles(Torch.Kind.OPTIMIZER)).isEqualTo(1);
        optimizer.close();
        optimizer.close();
        assertThat(Torch.liveHandles(Torch.Kind.OPTIMIZER)).isZero();
        assertThatThrownBy(optimizer::step)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("Optimizer");
    }
}
