package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.testing.Devices;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MixedPrecisionTest {
    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static List<Device> devices() {
        return Devices.all();
    }

    @ParameterizedTest
    @MethodSource("devices")
    void productsAreShortAndLossesLongWithinAutocast(Device device) {
        Tensor images = Ops.randn(DType.FLOAT32, 4, 3, 8, 8).to(device);
        Tensor weight =
                TensorScope.detach(Ops.randn(DType.FLOAT32, 5, 3 * 8 * 8).to(device));
        weight.requiresGrad(true);
        Tensor labels = Tensor.of(new long[] {0, 1, 2, 3}).to(device);
        Tensor exact = Ops.linear(Ops.flatten(images, 1), weight, null);
        Tensor loss;
        try (var _ = Autocast.on(device.type(), DType.BFLOAT16)) {
            assertThat(Autocast.isEnabled(device.type())).isTrue();
            Tensor logits = Ops.linear(Ops.flatten(images, 1), weight, null);
            assertThat(logits.dtype()).isEqualTo(DType.BFLOAT16);
            assertThat(logits.toFloats()).containsExactly(exact.toFloats(), within(0.5f));
            try (var _ = Autocast.off(device.type())) {
                assertThat(Ops.linear(Ops.flatten(images, 1), weight, null).dtype())
                        .isEqualTo(DType.FLOAT32);
            }
            loss = Ops.crossEntropy(logits, labels);
            assertThat(loss.dtype()).isEqualTo(DType.FLOAT32);
        }
        assertThat(Autocast.isEnabled(device.type())).isFalse();
        assertThat(Ops.linear(Ops.flatten(images, 1), weight, null).toFloats()).containsExactly(exact.toFloats());
        loss.backward();
        assertThat(weight.grad().dtype()).isEqualTo(DType.FLOAT32);
        weight.close();
    }

    @Test
    void autocastBelongsToItsThread() throws InterruptedException {
        Autocast autocast = Autocast.on(Device.Type.CPU, DType.BFLOAT16);
        try {
            var seen = new boolean[] {true};
            var failure = new Throwable[1];
            Thread other = Thread.ofPlatform().start(() -> {
                seen[0] = Autocast.isEnabled(Device.Type.CPU);
                failure[0] = catchThrowable(autocast::close);
            });
            other.join();
            assertThat(seen[0]).isFalse();
            assertThat(failure[0]).isInstanceOf(IllegalStateException.class).hasMessageContaining("thread");
        } finally {
            autocast.close();
        }
        assertThatThrownBy(() -> Autocast.on(Device.Type.CPU, DType.FLOAT64))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("bfloat16");
        assertThat(Autocast.isEnabled(Device.Type.CPU)).isFalse();
    }

    @ParameterizedTest
    @MethodSource("devices")
    void scaledStepsEqualUnscaledOnesAndInfiniteOnesAreLeftOut(Device device) {
        Tensor parameter = TensorScope.detach(Tensor.of(new float[] {1, 2}).to(device, true));
        parameter.requiresGrad(true);
        try (var sgd = Optimizer.sgd(List.of(parameter), 0.5, 0, 0);
                var scaler = new GradScaler(device, 1024, 2, 0.5, 2)) {
            Tensor loss = Ops.sum(Ops.mul(parameter, parameter));
            assertThat(scaler.scale(loss).item()).isEqualTo(5 * 1024);
            scaler.scale(loss).backward();
            assertThat(parameter.grad().toFloats()).containsExactly(2048, 4096);
            scaler.unscale(sgd);
            assertThat(parameter.grad().toFloats()).containsExactly(2, 4);
            assertThatThrownBy(() -> scaler.unscale(sgd)).isInstanceOf(IllegalStateException.class);
            assertThat(scaler.step(sgd)).isTrue();
            scaler.update();
            assertThat(parameter.toFloats()).containsExactly(0, 0);

            parameter.grad(Tensor.of(new float[] {1, Float.POSITIVE_INFINITY}).to(device));
            assertThat(scaler.step(sgd)).isFalse();
            scaler.update();
            assertThat(parameter.toFloats()).containsExactly(0, 0);
            assertThat(scaler.scale()).isEqualTo(512);

            for (int i = 0; i < 2; i++) {
                parameter.grad(Tensor.of(new float[] {512, 1024}).to(device));
                assertThat(scaler.step(sgd)).isTrue();
                scaler.update();
            }
            assertThat(parameter.toFloats()).containsExactly(-1, -2);
            assertThat(scaler.scale()).as("doubled after two in a row").isEqualTo(1024);
            assertThatThrownBy(scaler::update).isInstanceOf(IllegalStateException.class);

            Map<String, Object> state = scaler.stateDict();
            assertThat(state).containsEntry("scale", 1024.0).containsEntry("_growth_tracker", 0L);
            try (var other = new GradScaler(device)) {
                other.loadStateDict(state);
                assertThat(other.scale()).isEqualTo(1024);
                assertThatThrownBy(() -> other.loadStateDict(Map.of()))
                        .isInstanceOf(InvalidArgumentException.class)
                        .hasMessageContaining("scale");
            }
        }
        parameter.close();
        assertThatThrownBy(() -> new GradScaler(device, 0, 2, 0.5, 1)).isInstanceOf(InvalidArgumentException.class);
    }
}
