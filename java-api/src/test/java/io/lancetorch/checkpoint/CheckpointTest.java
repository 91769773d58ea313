package io.lancetorch.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.tensor.TorchFile;
import io.lancetorch.testing.Python;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointTest {
    /** A model of two layers with noise on its inputs, which it is trained to send to 0, and what a step of it needs. */
    private static final class Run implements AutoCloseable {
        private final Map<String, Tensor> model = new LinkedHashMap<>();
        private final Optimizer optimizer;

        Run(String optimizer, long seed) {
            Torch.manualSeed(seed);
            try (var _ = new TensorScope()) {
                model.put("0.weight", parameter(4, 3));
                model.put("0.bias", parameter(4));
                model.put("2.weight", parameter(1, 4));
            }
            List<Tensor> parameters = List.copyOf(model.values());
            this.optimizer = optimizer.equals("sgd")
                    ? Optimizer.sgd(parameters, 0.05, 0.9, 0.001)
                    : Optimizer.adamW(parameters, 0.01, 0.01);
        }

        private static Tensor parameter(long... shape) {
            return TensorScope.detach(Ops.normalInPlace(Tensor.empty(DType.FLOAT32, shape), 0, 0.5)
                    .requiresGrad(true));
        }

        void train(int steps) {
            for (int i = 0; i < steps; i++) {
                try (var _ = new TensorScope()) {
                    optimizer.zeroGrad();
                    Tensor inputs = Ops.normalInPlace(Tensor.empty(DType.FLOAT32, 8, 3), 0, 1);
                    Tensor hidden = Ops.relu(Ops.linear(inputs, model.get("0.weight"), model.get("0.bias")));
                    Tensor out = Ops.linear(hidden, model.get("2.weight"), null);
                    Ops.sum(Ops.mul(out, out)).backward();
                    optimizer.step();
                }
            }
        }

        Checkpoint checkpoint(long step) {
            return Checkpoint.after(step)
                    .model(model)
                    .optimizer(optimizer)
                    .randomState()
                    .epoch(2)
                    .loader(Map.of("samples_consumed", 640L))
                    .metadata(Map.of("git", "abc", "classes", List.of("a", "b")))
                    .build();
        }

        void restore(Checkpoint checkpoint) {
            checkpoint.restoreModel(model);
            checkpoint.restoreOptimizer(optimizer);
            checkpoint.restoreRandomState();
        }

        List<float[]> values() {
            List<float[]> values = new ArrayList<>();
            model.values().forEach(tensor -> values.add(tensor.toFloats()));
            return values;
        }

        @Override
        public void close() {
            optimizer.close();
            model.values().forEach(Tensor::close);
        }
    }

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"sgd", "adamw"})
    void runThatIsResumedTakesTheSameWayToTheBit(String optimizer) {
        Path file = folder.resolve("checkpoint.pt");
        List<float[]> whole;
        try (var run = new Run(optimizer, 5)) {
            run.train(20);
            try (Checkpoint checkpoint = run.checkpoint(20)) {
                checkpoint.save(file);
            }
            List<float[]> atTwenty = run.values();
            run.train(30);
            whole = run.values();
            assertThat(whole.get(0)).isNotEqualTo(atTwenty.get(0));
        }
        try (var resumed = new Run(optimizer, 999);
                Checkpoint checkpoint = Checkpoint.load(file)) {
            resumed.restore(checkpoint);
            resumed.train(30);
            assertThat(resumed.values()).usingRecursiveComparison().isEqualTo(whole);
        }
    }

    @Test
    void whatWasKeptIsRead() {
        Path file = folder.resolve("checkpoint.pt");
        try (var run = new Run("adamw", 1)) {
            run.train(1);
            long before = Torch.liveHandles(Torch.Kind.TENSOR);
            try (Checkpoint checkpoint = run.checkpoint(20)) {
                checkpoint.save(file);
            }
            try (Checkpoint read = Checkpoint.load(file)) {
                assertThat(read.step()).isEqualTo(20);
                assertThat(read.epoch()).isEqualTo(2);
                assertThat(read.loader()).isEqualTo(Map.of("samples_consumed", 640L));
                assertThat(read.metadata()).isEqualTo(Map.of("git", "abc", "classes", List.of("a", "b")));
                assertThat(read.model().get("0.bias").toFloats())
                        .isEqualTo(run.values().get(1));
                assertThat(read.model().get("0.bias").requiresGrad()).isFalse();
                assertThat(read.optimizer().keySet().toArray()).containsExactly("state", "param_groups");
            }
            assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).as("closed").isEqualTo(before);
        }
    }

    @Test
    void partsThatWereNotKeptAreEmptyOrMissing() {
        Path file = folder.resolve("checkpoint.pt");
        try (Checkpoint nothing = Checkpoint.after(0).build()) {
            nothing.save(file);
        }
        try (Checkpoint read = Checkpoint.load(file);
                var run = new Run("sgd", 1)) {
            assertThat(read.model()).isEmpty();
            assertThat(read.loader()).isEmpty();
            read.restoreRandomState();
            assertThatThrownBy(() -> read.restoreOptimizer(run.optimizer))
                    .isInstanceOf(NotFoundException.class)
                    .hasMessageContaining("after 0 steps");
            assertThatThrownBy(() -> read.restoreModel(run.model)).isInstanceOf(InvalidArgumentException.class);
        }
        assertThatThrownBy(() -> Checkpoint.after(-1)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void otherFilesAreNoCheckpoints() {
        Path file = folder.resolve("other.pt");
        assertThatThrownBy(() -> Checkpoint.load(file)).isInstanceOf(NotFoundException.class);
        try (Tensor tensor = Tensor.of(new float[] {1})) {
            StateDict.save(file, Map.of("weight", tensor));
        }
        assertThatThrownBy(() -> Checkpoint.load(file))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContainingAll("other.pt", "StateDict.load");
        TorchFile.save(file, Map.of("lancetorch", 1, "model", Map.of(), "step", "three"));
        assertThatThrownBy(() -> Checkpoint.load(file))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("step");
        TorchFile.save(file, Map.of("lancetorch", 1, "model", Map.of("a", 3)));
        assertThatThrownBy(() -> Checkpoint.load(file))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("model.a");
        TorchFile.save(file, Map.of("lancetorch", 2));
        assertThatThrownBy(() -> Checkpoint.load(file))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("format 2");
    }

    @Test
    void pythonGoesOnFromOurCheckpoint() throws Exception {
        Path file = folder.resolve("checkpoint.pt");
        try (var run = new Run("adamw", 3)) {
            run.train(4);
            try (Checkpoint checkpoint = run.checkpoint(4)) {
                checkpoint.save(file);
            }
            String output = Python.run("torch", """
                    import sys, torch
                    checkpoint = torch.load(sys.argv[1], weights_only=True)
                    assert list(checkpoint) == ["lancetorch", "step", "epoch", "model", "optimizer", "rng", "loader", "metadata"]
                    print(checkpoint["step"], checkpoint["epoch"], checkpoint["loader"], checkpoint["metadata"]["classes"])
                    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1, bias=False))
                    model.load_state_dict(checkpoint["model"])
                    optimizer = torch.optim.AdamW(model.parameters())
                    optimizer.load_state_dict(checkpoint["optimizer"])
                    torch.set_rng_state(checkpoint["rng"]["cpu"])
                    for _ in range(3):
                        optimizer.zero_grad()
                        model(torch.empty(8, 3).normal_(0, 1)).square().sum().backward()
                        optimizer.step()
                    print(*[x for p in model.parameters() for x in p.flatten().tolist()])
                    """, file);
            run.train(3);
            String[] lines = output.split("\n");
            assertThat(lines[0]).isEqualTo("4 2 {'samples_consumed': 640} ['a', 'b']");
            String[] numbers = lines[1].split(" ");
            int at = 0;
            for (float[] values : run.values()) {
                for (float value : values) {
                    assertThat(value)
                            .isCloseTo(Float.parseFloat(numbers[at++]), org.assertj.core.api.Assertions.within(1e-6f));
                }
            }
            assertThat(at).isEqualTo(numbers.length);
        }
    }
}
