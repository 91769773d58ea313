package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Between an optimizer's native state and the shape that {@code torch.optim}'s state_dict() has. */
final class OptimizerState {
    private OptimizerState() {}

    /** An optimizer's options and tensors, by PyTorch's names. AdamW's "beta1" and "beta2" are a pair "betas" there. */
    enum Kind {
        SGD(List.of("lr", "momentum", "dampening", "weight_decay", "nesterov"), List.of("momentum_buffer"), "momentum"),
        ADAMW(
                List.of("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad"),
                List.of("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
                "betas");

        private final List<String> options;
        private final List<String> tensors;
        private final String mark;

        Kind(List<String> options, List<String> tensors, String mark) {
            this.options = options;
            this.tensors = tensors;
            this.mark = mark;
        }
    }

    static Map<String, Object> of(Optimizer optimizer, Kind kind, int parameters) {
        Native frame = Native.get();
        Map<String, Object> group = new LinkedHashMap<>();
        List<Object> indices = new ArrayList<>();
        Map<Object, Object> state = new LinkedHashMap<>();
        try (Arena arena = Arena.ofConfined()) {
            for (String name : kind.options) {
                frame.check(torch_h.lt_optimizer_option(
                        optimizer.handle(), arena.allocateFrom(name), frame.out, frame.error));
                double value = frame.out.get(JAVA_DOUBLE, 0);
                switch (name) {
                    case "nesterov", "amsgrad" -> group.put(name, value != 0);
                    case "beta1" -> group.put("betas", new ArrayList<>(List.of(value)));
                    case "beta2" -> {
                        double first = (double) ((List<?>) group.get("betas")).getFirst();
                        group.put("betas", List.of(first, value));
                    }
                    default -> group.put(name, value);
                }
            }
            List<MemorySegment> names =
                    kind.tensors.stream().map(arena::allocateFrom).toList();
            for (int i = 0; i < parameters; i++) {
                Map<String, Object> kept = new LinkedHashMap<>();
                for (int j = 0; j < names.size(); j++) {
                    frame.check(
                            torch_h.lt_optimizer_state(optimizer.handle(), i, names.get(j), frame.out, frame.error));
                    if (frame.outAddress() != 0) {
                        kept.put(kind.tensors.get(j), frame.outTensor("Optimizer.stateDict"));
                    }
                }
                if (!kept.isEmpty()) {
                    state.put((long) i, kept);
                }
                indices.add((long) i);
            }
        }
        // What else Python's optimizers look for, at their defaults.
        group.put("maximize", false);
        group.put("foreach", null);
        group.put("differentiable", false);
        group.put("fused", optimizer.isFused() ? true : null);
        if (kind == Kind.ADAMW) {
            group.put("capturable", false);
            group.put("decoupled_weight_decay", true);
        }
        group.put("params", indices);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("state", state);
        result.put("param_groups", List.of(group));
        return result;
    }

    static void load(Optimizer optimizer, Kind kind, int parameters, Map<?, ?> stateDict) {
        Map<?, ?> group = onlyGroup(stateDict);
        requireKind(kind, group);
        List<?> ids = as(List.class, group.get("params"), "param_groups[0].params");
        if (ids.size() != parameters) {
            throw new InvalidArgumentException(
                    "the state is of an optimizer of " + ids.size() + " parameters, and this one has " + parameters);
        }
        List<String> optionNames = new ArrayList<>();
        List<Double> options = new ArrayList<>();
        for (String name : kind.options) {
            Object value =
                    switch (name) {
                        case "beta1" -> beta(group, 0);
                        case "beta2" -> beta(group, 1);
                        default -> group.get(name);
                    };
            if (value != null) {
                optionNames.add(name);
                options.add(number(value, "param_groups[0]." + name));
            }
        }
        try (var _ = new TensorScope();
                Arena arena = Arena.ofConfined()) {
            List<Long> owners = new ArrayList<>();
            List<String> names = new ArrayList<>();
            List<Tensor> tensors = new ArrayList<>();
            Map<Object, Long> positions = new HashMap<>();
            ids.forEach(id -> positions.put(id, (long) positions.size()));
            Map<?, ?> state = as(Map.class, stateDict.get("state"), "state");
            state.forEach((id, kept) -> {
                Long owner = positions.get(id);
                if (owner == null) {
                    throw new InvalidArgumentException("state " + id + " is of no parameter in param_groups[0].params");
                }
                Map<?, ?> values = as(Map.class, kept, "state " + id);
                values.forEach((name, value) -> {
                    String where = "state " + id + "." + name;
                    if (value != null && kind.tensors.contains(name)) {
                        owners.add(owner);
                        names.add((String) name);
                        tensors.add(
                                value instanceof Tensor tensor
                                        ? tensor
                                        : Tensor.of(new double[] {number(value, where)}));
                    } else if (value != null) {
                        throw new InvalidArgumentException(where + " is nothing that this optimizer keeps");
                    }
                });
            });
            Native frame = Native.get();
            frame.check(torch_h.lt_optimizer_load(
                    optimizer.handle(),
                    strings(optionNames, arena),
                    arena.allocateFrom(
                            JAVA_DOUBLE,
                            options.stream().mapToDouble(value -> value).toArray()),
                    options.size(),
                    arena.allocateFrom(
                            JAVA_LONG, owners.stream().mapToLong(owner -> owner).toArray()),
                    strings(names, arena),
                    frame.handles(tensors),
                    tensors.size(),
                    frame.error));
        }
    }

    private static Map<?, ?> onlyGroup(Map<?, ?> stateDict) {
        List<?> groups = as(List.class, stateDict.get("param_groups"), "param_groups");
        if (groups.size() != 1) {
            throw new UnsupportedException(
                    "the state has " + groups.size() + " groups of parameters, and an optimizer has one here");
        }
        return as(Map.class, groups.getFirst(), "param_groups[0]");
    }

    private static void requireKind(Kind kind, Map<?, ?> group) {
        boolean isAdam = kind == Kind.ADAMW && Boolean.FALSE.equals(group.get("decoupled_weight_decay"));
        if (!group.containsKey(kind.mark) || isAdam) {
            throw new InvalidArgumentException(
                    "the state is not of " + kind + ", but of an optimizer with the options " + group.keySet());
        }
        if (Boolean.TRUE.equals(group.get("maximize"))) {
            throw new UnsupportedException("the state is of an optimizer with maximize=True, which libtorch has not");
        }
    }

    private static Object beta(Map<?, ?> group, int index) {
        List<?> betas = as(List.class, group.get("betas"), "param_groups[0].betas");
        if (betas.size() != 2) {
            throw new InvalidArgumentException("param_groups[0].betas has " + betas.size() + " values and not 2");
        }
        return betas.get(index);
    }

    private static double number(Object value, String where) {
        return switch (value) {
            case Boolean flag -> flag ? 1 : 0;
            case Number number -> number.doubleValue();
            case Tensor tensor -> tensor.item();
            case null, default -> throw new InvalidArgumentException(where + " is " + value + ", which is no number");
        };
    }

    private static <T> T as(Class<T> type, Object value, String where) {
        if (!type.isInstance(value)) {
            throw new InvalidArgumentException("no state of an optimizer: " + where + " is "
                    + (value == null ? "missing" : "a " + value.getClass().getSimpleName()) + ", and should be a "
                    + type.getSimpleName());
        }
        return type.cast(value);
    }

    private static MemorySegment strings(List<String> strings, Arena arena) {
        MemorySegment array = arena.allocate(ADDRESS, Math.max(1, strings.size()));
        for (int i = 0; i < strings.size(); i++) {
            array.setAtIndex(ADDRESS, i, arena.allocateFrom(strings.get(i)));
        }
        return array;
    }
}
