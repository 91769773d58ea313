package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
