package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ResNetTest {
    @AfterAll
    static void nothingIsLeft() {
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isZero();
    }

    /** The lines of a file that torchvision's model wrote: name, then shape. */
    private static List<String> expected(String model) {
        try (var stream = ResNetTest.class.getResourceAsStream("/" + model + "-state-dict.txt")) {
            return new String(stream.readAllBytes()).lines().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"resnet18", "resnet50"})
    void namesShapesAndOrderAreTorchvisions(String name) {
        try (ResNet model = ResNet.of(name, 10)) {
            List<String> lines = model.stateDict().entrySet().stream()
                    .map(entry -> entry.getKey() + " "
                            + java.util.Arrays.stream(entry.getValue().shape())
                                    .mapToObj(Long::toString)
                                    .collect(Collectors.joining(",")))
                    .map(String::strip)
                    .toList();
            assertThat(lines).isEqualTo(expected(name));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"resnet18", "resnet50"})
    void channelsLastComputesTheSameAsRowMajor(String name) {
        Torch.manualSeed(1);
        try (var _ = new TensorScope();
                ResNet model = ResNet.of(name, 10)) {
            Tensor images = Ops.randn(DType.FLOAT32, 2, 3, 64, 64);
            Tensor plain = model.forward(images, false);
            Tensor last = model.forward(images.to(MemoryFormat.CHANNELS_LAST), false);
            assertThat(plain.shape()).containsExactly(2, 10);
            assertThat(Ops.max(Ops.abs(Ops.sub(plain, last))).item()).isLessThan(1e-4);
        }
    }

    /** An image of 32 pixels is one pixel for the last layers: so a channel has one value, which has no variance. */
    @Test
    void batchOfOneSmallImageLeavesTheRunningValuesFinite() {
        try (var _ = new TensorScope();
                ResNet model = ResNet.of("resnet18", 10)) {
            Ops.sum(model.forward(Ops.randn(DType.FLOAT32, 1, 3, 32, 32), true)).backward();
            model.stateDict()
                    .forEach((name, tensor) ->
                            assertThat(finite(tensor)).as(name).isTrue());
            assertThat(model.parameters()).allMatch(parameter -> finite(parameter.grad()));
        }
    }

    private static boolean finite(Tensor tensor) {
        return Arrays.stream(tensor.toDoubles()).allMatch(Double::isFinite);
    }

    @Test
    void anotherNumberOfClassesKeepsTheLastLayer(@org.junit.jupiter.api.io.TempDir Path folder) {
        Path file = folder.resolve("model.pt");
        try (ResNet source = ResNet.of("resnet18", 10);
                ResNet target = ResNet.of("resnet18", 3)) {
            io.lancetorch.tensor.StateDict.save(file, source.stateDict());
            assertThat(target.load(file)).containsExactly("fc.weight", "fc.bias");
            Map<String, Tensor> loaded = target.stateDict();
            assertThat(Ops.equal(loaded.get("conv1.weight"), source.stateDict().get("conv1.weight")))
                    .isTrue();
            assertThat(loaded.get("fc.weight").shape()).containsExactly(3, 512);
        }
    }

    @Test
    void anUnknownModelIsRefusedWithTheNamesThatThereAre() {
        assertThatThrownBy(() -> ResNet.of("resnet19", 10))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("resnet18");
    }
}
