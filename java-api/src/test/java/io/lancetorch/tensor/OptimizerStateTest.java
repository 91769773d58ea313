package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.testing.Python;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class OptimizerStateTest {
    /** Optimizers, as they are made here and in Python. */
    enum Case {
        SGD(
                p -> Optimizer.sgd(p, 0.05, 0.9, 0.1, 0.01, false),
                "SGD(p, 0.05, momentum=0.9, dampening=0.1, weight_decay=0.01)"),
        NESTEROV(p -> Optimizer.sgd(p, 0.05, 0.9, 0, 0, true), "SGD(p, 0.05, momentum=0.9, nesterov=True)"),
        PLAIN(p -> Optimizer.sgd(p, 0.05, 0, 0), "SGD(p, 0.05)"),
        ADAMW(
                p -> Optimizer.adamW(p, 0.01, 0.8, 0.95, 1e-7, 0.1, false),
                "AdamW(p, 0.01, betas=(0.8, 0.95), eps=1e-7, weight_decay=0.1)"),
        AMSGRAD(p -> Optimizer.adamW(p, 0.01, 0.9, 0.999, 1e-8, 0.01, true), "AdamW(p, 0.01, amsgrad=True)");

        private final Function<List<Tensor>, Optimizer> maker;
        private final String python;

        Case(Function<List<Tensor>, Optimizer> maker, String python) {
            this.maker = maker;
            this.python = python;
        }

        Optimizer make(List<Tensor> parameters) {
            return maker.apply(parameters);
        }

        /** The same with other options, which a state that is loaded sets right. */
        Optimizer other(List<Tensor> parameters) {
            return name().startsWith("A") ? Optimizer.adamW(parameters, 7, 7) : Optimizer.sgd(parameters, 7, 0.7, 7);
        }
    }

    @TempDir
    private Path folder;

    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static List<Tensor> parameters() {
        List<Tensor> parameters = new ArrayList<>();
        parameters.add(Ops.mul(Ops.reshape(Ops.arange(6).to(DType.FLOAT32), 2, 3), Tensor.of(new float[] {0.37f}))
                .requiresGrad(true));
        parameters.add(Tensor.of(new float[] {0.1f, -0.7f}).requiresGrad(true));
        parameters.add(Tensor.of(new float[] {5}).requiresGrad(true)); // never has a gradient
        return parameters;
    }

    /** A step with gradients that depend on the parameters and on {@code t}. */
    private static void step(Optimizer optimizer, List<Tensor> parameters, int t) {
        try (var _ = new TensorScope();
                var _ = GradMode.noGrad()) {
            for (Tensor parameter : parameters.subList(0, 2)) {
                Tensor factor = Tensor.of(new float[] {t % 3 - 0.5f});
                parameter.grad(Ops.add(Ops.mul(parameter, factor), Tensor.of(new float[] {0.0625f * t})));
            }
            optimizer.step();
        }
    }

    private static List<Tensor> copies(List<Tensor> parameters) {
        List<Tensor> copies = new ArrayList<>();
        for (Tensor parameter : parameters) {
            copies.add(Ops.clone(parameter.detach()).requiresGrad(true));
        }
        return copies;
    }

    private static void assertSame(List<Tensor> some, List<Tensor> others) {
        for (int i = 0; i < some.size(); i++) {
            assertThat(some.get(i).toFloats()).containsExactly(others.get(i).toFloats());
        }
    }

    @ParameterizedTest
    @EnumSource
    void whatGoesOnFromASavedStateIsTheSameToTheBit(Case kind) {
        List<Tensor> parameters = parameters();
        Path file = folder.resolve("optimizer.pt");
        try (Optimizer optimizer = kind.make(parameters)) {
            for (int t = 0; t < 5; t++) {
                step(optimizer, parameters, t);
            }
            TorchFile.save(file, optimizer.stateDict());
            List<Tensor> resumed = copies(parameters);
            try (Optimizer other = kind.other(resumed)) {
                other.loadStateDict((Map<?, ?>) TorchFile.load(file));
                for (int t = 5; t < 12; t++) {
                    step(optimizer, parameters, t);
                    step(other, resumed, t);
                    assertSame(resumed, parameters);
                }
                assertThat(plain(other.stateDict())).isEqualTo(plain(optimizer.stateDict()));
            }
        }
    }

    /** With lists of numbers in the place of tensors. */
    private static Object plain(Object value) {
        return switch (value) {
            case null -> "none";
            case Tensor tensor -> List.of(tensor.dtype(), List.of(tensor.toString()), toList(tensor.toDoubles()));
            case Map<?, ?> map -> {
                Map<Object, Object> result = new HashMap<>();
                map.forEach((key, element) -> result.put(key, plain(element)));
                yield result;
            }
            case List<?> list -> list.stream().map(OptimizerStateTest::plain).toList();
            default -> value;
        };
    }

    private static List<Double> toList(double[] values) {
        return java.util.Arrays.stream(values).boxed().toList();
    }

    @Test
    void stateHasPythonsNames() {
        List<Tensor> parameters = parameters();
        try (Optimizer optimizer = Case.AMSGRAD.make(parameters)) {
            assertThat((Map<?, ?>) optimizer.stateDict().get("state")).isEmpty();
            step(optimizer, parameters, 0);
            Map<?, ?> state = (Map<?, ?>) optimizer.stateDict().get("state");
            assertThat(state.keySet().toArray()).as("the third has no gradient").containsExactly(0L, 1L);
            Map<?, ?> first = (Map<?, ?>) state.get(0L);
            assertThat(first.keySet().toArray()).containsExactly("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq");
            assertThat(((Tensor) first.get("step")).item()).isEqualTo(1);
            assertThat(((Tensor) first.get("exp_avg")).shape()).containsExactly(2, 3);
            Map<?, ?> group = (Map<?, ?>) ((List<?>) optimizer.stateDict().get("param_groups")).getFirst();
            assertThat(group.get("betas")).isEqualTo(List.of(0.9, 0.999));
            assertThat(group.get("amsgrad")).isEqualTo(true);
            assertThat(group.get("params")).isEqualTo(List.of(0L, 1L, 2L));
        }
    }

    @ParameterizedTest
    @EnumSource
    void pythonGoesOnFromOurStateAndWeFromPythons(Case kind) throws Exception {
        List<Tensor> parameters = parameters();
        Path ours = folder.resolve("ours.pt");
        Path theirs = folder.resolve("theirs.pt");
        try (Optimizer optimizer = kind.make(parameters)) {
            for (int t = 0; t < 4; t++) {
                step(optimizer, parameters, t);
            }
            TorchFile.save(ours, Map.of("parameters", parameters, "optimizer", optimizer.stateDict()));
            String output = Python.run("torch", """
                    import sys, torch
                    from torch.optim import SGD, AdamW
                    loaded = torch.load(sys.argv[1], weights_only=True)
                    p = [t.requires_grad_(True) for t in loaded["parameters"]]
                    optimizer = %s
                    optimizer.load_state_dict(loaded["optimizer"])
                    def step(t):
                        for q in p[:2]:
                            q.grad = q.detach() * torch.tensor([t %% 3 - 0.5]) + torch.tensor([0.0625 * t])
                        optimizer.step()
                    for t in range(4, 7):
                        step(t)
                    torch.save({"at 7": [q.detach().clone() for q in p], "optimizer": optimizer.state_dict()}, sys.argv[2])
                    step(7)
                    print([x for q in p for x in q.flatten().tolist()])
                    """.formatted(kind.python), ours, theirs);
            Map<?, ?> read = (Map<?, ?>) TorchFile.load(theirs);
            List<Tensor> atSeven = new ArrayList<>();
            ((List<?>) read.get("at 7")).forEach(value -> atSeven.add((Tensor) value));
            for (int t = 4; t < 7; t++) {
                step(optimizer, parameters, t);
            }
            assertClose(parameters, values(atSeven));
            List<Tensor> resumed = copies(atSeven);
            try (Optimizer other = kind.other(resumed)) {
                other.loadStateDict((Map<?, ?>) read.get("optimizer"));
                step(other, resumed, 7);
            }
            String[] numbers = output.strip().replaceAll("[\\[\\]]", "").split(", ");
            assertClose(
                    resumed,
                    java.util.Arrays.stream(numbers).map(Double::valueOf).toList());
        }
    }

    private static List<Double> values(List<Tensor> tensors) {
        List<Double> values = new ArrayList<>();
        tensors.forEach(tensor -> values.addAll(toList(tensor.toDoubles())));
        return values;
    }

    private static void assertClose(List<Tensor> tensors, List<Double> expected) {
        List<Double> values = values(tensors);
        assertThat(values).hasSameSizeAs(expected);
        for (int i = 0; i < expected.size(); i++) {
            assertThat(values.get(i)).isCloseTo(expected.get(i), org.assertj.core.api.Assertions.within(1e-6));
        }
    }

    @Test
    void stateThatDoesNotFitIsRefusedAndChangesNothing() {
        List<Tensor> parameters = parameters();
        try (Optimizer sgd = Case.SGD.make(parameters);
                Optimizer adamW = Case.ADAMW.make(parameters);
                Optimizer fewer = Case.SGD.make(parameters.subList(0, 2))) {
            step(sgd, parameters, 0);
            step(adamW, parameters, 1);
            step(fewer, parameters, 2);
            Object before = plain(sgd.stateDict());
            refused(sgd, adamW.stateDict(), "not of SGD");
            refused(adamW, sgd.stateDict(), "not of ADAMW");
            refused(sgd, fewer.stateDict(), "2 parameters, and this one has 3");
            refused(sgd, Map.of(), "param_groups is missing");
            refused(sgd, Map.of("param_groups", List.of(3)), "param_groups[0] is a Integer");
            refused(
                    sgd,
                    changed(sgd, "state", Map.of(0L, Map.of("momentum_buffer", Tensor.of(new float[4])))),
                    "shape");
            refused(sgd, changed(sgd, "state", Map.of(9L, Map.of())), "state 9");
            refused(sgd, changed(sgd, "state", Map.of(0L, Map.of("speed", Tensor.of(new float[6])))), "0.speed");
            refused(sgd, changed(sgd, "state", Map.of(0L, Map.of("momentum_buffer", "fast"))), "fast");
            refused(sgd, withOption(sgd, "lr", -1.0), "learning_rate");
            refused(sgd, withOption(sgd, "lr", "high"), "param_groups[0].lr is high");
            refused(sgd, withOption(sgd, "maximize", true), "maximize");
            refused(adamW, withOption(adamW, "betas", List.of(0.9)), "betas");
            refused(adamW, withOption(adamW, "decoupled_weight_decay", false), "not of ADAMW");
            refused(adamW, changed(adamW, "state", Map.of(0L, Map.of("step", 1L))), "lacks");
            Map<String, Object> groups = new HashMap<>(sgd.stateDict());
            Object group = ((List<?>) groups.get("param_groups")).getFirst();
            groups.put("param_groups", List.of(group, group));
            refused(sgd, groups, "2 groups");
            assertThat(plain(sgd.stateDict())).isEqualTo(before);
        }
    }

    private static void refused(Optimizer optimizer, Map<?, ?> state, String message) {
        assertThatThrownBy(() -> optimizer.loadStateDict(state))
                .isInstanceOf(LanceTorchException.class)
                .isInstanceOfAny(InvalidArgumentException.class, UnsupportedException.class)
                .hasMessageContaining(message);
    }

    private static Map<String, Object> changed(Optimizer optimizer, String key, Object value) {
        Map<String, Object> state = new HashMap<>(optimizer.stateDict());
        state.put(key, value);
        return state;
    }

    private static Map<String, Object> withOption(Optimizer optimizer, String key, Object value) {
        Map<Object, Object> group =
                new HashMap<>((Map<?, ?>) ((List<?>) optimizer.stateDict().get("param_groups")).getFirst());
        group.put(key, value);
        return changed(optimizer, "param_groups", List.of(group));
    }

    @Test
    void closedOptimizerHasNoState() {
        Optimizer optimizer = Case.SGD.make(parameters());
        Map<String, Object> state = optimizer.stateDict();
        optimizer.close();
        assertThatThrownBy(optimizer::stateDict).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> optimizer.loadStateDict(state)).isInstanceOf(IllegalStateException.class);
    }

    // ---- random numbers ----

    @Test
    void randomNumbersGoOnFromASavedState() {
        Torch.manualSeed(3);
        Tensor state = Torch.randomState();
        float[] first = draw();
        float[] second = draw();
        assertThat(second).isNotEqualTo(first);
        Torch.randomState(state);
        assertThat(draw()).containsExactly(first);
        assertThat(draw()).containsExactly(second);
        assertThatThrownBy(() -> Torch.randomState(Tensor.of(new byte[16])))
                .isInstanceOf(InvalidArgumentException.class);
        if (Device.count(Device.Type.CUDA) == 0) {
            assertThatThrownBy(() -> Torch.randomState(Device.cuda(0))).isInstanceOf(UnsupportedException.class);
        }
    }

    private static float[] draw() {
        return Ops.uniformInPlace(Tensor.empty(DType.FLOAT32, 8), 0, 1).toFloats();
    }

    @Test
    void randomStateIsPythons() throws Exception {
        Torch.manualSeed(11);
        draw();
        Path ours = folder.resolve("rng.pt");
        Path theirs = folder.resolve("python.pt");
        TorchFile.save(ours, Torch.randomState());
        String output = Python.run("torch", """
                import sys, torch
                torch.set_rng_state(torch.load(sys.argv[1], weights_only=True))
                print(torch.empty(8).uniform_(0, 1).tolist())
                torch.save(torch.get_rng_state(), sys.argv[2])
                print(torch.empty(8).uniform_(0, 1).tolist())
                """, ours, theirs);
        String[] lines = output.split("\n");
        assertThat(toList(draw())).isEqualTo(lines[0]);
        draw();
        Torch.randomState((Tensor) TorchFile.load(theirs));
        assertThat(toList(draw())).isEqualTo(lines[1]);
    }

    private static String toList(float[] values) {
        List<Double> list = new ArrayList<>();
        for (float value : values) {
            list.add((double) value);
        }
        return list.toString();
    }
}
