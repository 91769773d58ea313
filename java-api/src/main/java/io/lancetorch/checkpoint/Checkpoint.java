package io.lancetorch.checkpoint;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.tensor.TorchFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a training run needs to go on at the very next step: the model's tensors, the optimizer's state, the random generators'
 * states, the loader's position, and what the user adds.
 *
 * <p>Its file is a {@code .pt} that Python's {@code torch.load(path, weights_only=True)} reads as {@code {"lancetorch": 1,
 * "step": ..., "epoch": ..., "model": {...}, "optimizer": {...}, "rng": {"cpu": ...}, "loader": {...}, "metadata": {...}}},
 * whose "model" a module's and whose "optimizer" an optimizer's {@code load_state_dict} takes.
 *
 * <p>One that was built has the model's and the optimizer's own tensors: it is to be saved before the next step. One that was
 * loaded has tensors of its own on the CPU. The caller closes either. One thread at a time.
 */
public final class Checkpoint implements AutoCloseable {
    /** The version of the file's layout, under the key "lancetorch". */
    public static final long FORMAT = 1;

    private final long step;
    private final long epoch;
    private final Map<String, Tensor> model;
    private final Map<?, ?> optimizer;
    private final Map<?, ?> random;
    private final Map<?, ?> loader;
    private final Map<?, ?> metadata;
    private final List<Tensor> owned;

    private Checkpoint(
            long step,
            long epoch,
            Map<String, Tensor> model,
            Map<?, ?> optimizer,
            Map<?, ?> random,
            Map<?, ?> loader,
            Map<?, ?> metadata,
            List<Tensor> owned) {
        this.step = step;
        this.epoch = epoch;
        this.model = model;
        this.optimizer = optimizer;
        this.random = random;
        this.loader = loader;
        this.metadata = metadata;
        this.owned = owned;
    }

    /** A checkpoint after {@code step} steps, counted from the start of the run. */
    public static Builder after(long step) {
        return new Builder(step);
    }

    /** Gathers what a checkpoint holds. What is not given is empty. */
    public static final class Builder {
        private final long step;
        private long epoch;
        private Map<String, Tensor> model = Map.of();
        private Optimizer optimizer;
        private boolean withRandomState;
        private Map<String, ?> loader = Map.of();
        private Map<String, ?> metadata = Map.of();

        private Builder(long step) {
            if (step < 0) {
                throw new InvalidArgumentException("a checkpoint after " + step + " steps");
            }
            this.step = step;
        }

        /** The epoch, counted from 0, to which the next step belongs. */
        public Builder epoch(long epoch) {
            this.epoch = epoch;
            return this;
        }

        /** The model's tensors by name, which stay the caller's. */
        public Builder model(Map<String, Tensor> model) {
            this.model = model;
            return this;
        }

        /** The optimizer whose state is to be kept. */
        public Builder optimizer(Optimizer optimizer) {
            this.optimizer = optimizer;
            return this;
        }

        /** Keeps the state of the default random generator of the CPU, and of each CUDA device. */
        public Builder randomState() {
            withRandomState = true;
            return this;
        }

        /** The loader's position: numbers, strings, and maps of such. */
        public Builder loader(Map<String, ?> loader) {
            this.loader = loader;
            return this;
        }

        /** Anything else that {@link TorchFile} can write. Its tensors stay the caller's. */
        public Builder metadata(Map<String, ?> metadata) {
            this.metadata = metadata;
            return this;
        }

        /** The checkpoint, with the states as they are now. */
        public Checkpoint build() {
            List<Tensor> owned = new ArrayList<>();
            try (var _ = new TensorScope()) {
                Map<String, Object> state = optimizer == null ? Map.of() : optimizer.stateDict();
                Map<String, Object> random = withRandomState ? randomStates() : Map.of();
                collect(state, owned);
                collect(random, owned);
                owned.forEach(TensorScope::detach);
                return new Checkpoint(step, epoch, model, state, random, loader, metadata, owned);
            }
        }

        private static Map<String, Object> randomStates() {
            Map<String, Object> states = new LinkedHashMap<>();
            states.put(Device.CPU.toString(), Torch.randomState());
            for (int i = 0; i < Device.count(Device.Type.CUDA); i++) {
                states.put(Device.cuda(i).toString(), Torch.randomState(Device.cuda(i)));
            }
            return states;
        }
    }

    /** Adds the tensors in {@code value} to {@code tensors}, each once. */
    private static void collect(Object value, List<Tensor> tensors) {
        Set<Tensor> found = Collections.newSetFromMap(new IdentityHashMap<>());
        collect(value, found, Collections.newSetFromMap(new IdentityHashMap<>()));
        tensors.addAll(found);
    }

    private static void collect(Object value, Set<Tensor> tensors, Set<Object> seen) {
        if (value instanceof Tensor tensor) {
            tensors.add(tensor);
        } else if (value instanceof Map<?, ?> map && seen.add(map)) {
            map.values().forEach(element -> collect(element, tensors, seen));
        } else if (value instanceof List<?> list && seen.add(list)) {
            list.forEach(element -> collect(element, tensors, seen));
        }
    }

    /**
     * Writes the file, which appears under its name when it is whole and on the disk. {@link CheckpointDirectory#save} does
     * more.
     *
     * @throws StorageException where the disk does not take it
     */
    public void save(Path file) {
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("lancetorch", FORMAT);
        content.put("step", step);
        content.put("epoch", epoch);
        content.put("model", model);
        content.put("optimizer", optimizer);
        content.put("rng", random);
        content.put("loader", loader);
        content.put("metadata", metadata);
        TorchFile.save(file, content);
    }

    /**
     * Reads a file that {@link #save} wrote.
     *
     * @throws NotFoundException where there is no such file
     * @throws CorruptDataException where it is cut short or damaged, or no checkpoint
     * @throws UnsupportedException where a newer version of lancetorch wrote it
     */
    public static Checkpoint load(Path file) {
        try (var _ = new TensorScope()) {
            Object content = TorchFile.load(file);
            if (!(content instanceof Map<?, ?> map) || !(map.get("lancetorch") instanceof Long format)) {
                throw new CorruptDataException(file
                        + " is no checkpoint of lancetorch; StateDict.load and TorchFile.load read other .pt files");
            }
            if (format != FORMAT) {
                throw new UnsupportedException(file + " is a checkpoint of format " + format
                        + ", and this version of lancetorch reads format " + FORMAT);
            }
            Map<String, Tensor> model = new LinkedHashMap<>();
            Map<?, ?> tensors = part(Map.class, map, "model", file);
            tensors.forEach((name, value) -> {
                if (!(name instanceof String key) || !(value instanceof Tensor tensor)) {
                    throw new CorruptDataException(file + " has no tensor by name at model." + name);
                }
                model.put(key, tensor);
            });
            List<Tensor> owned = new ArrayList<>();
            collect(map, owned);
            var checkpoint = new Checkpoint(
                    part(Long.class, map, "step", file),
                    part(Long.class, map, "epoch", file),
                    model,
                    part(Map.class, map, "optimizer", file),
                    part(Map.class, map, "rng", file),
                    part(Map.class, map, "loader", file),
                    part(Map.class, map, "metadata", file),
                    owned);
            owned.forEach(TensorScope::detach);
            return checkpoint;
        }
    }

    private static <T> T part(Class<T> type, Map<?, ?> content, String key, Path file) {
        if (!type.isInstance(content.get(key))) {
            throw new CorruptDataException(
                    file + " is no checkpoint: \"" + key + "\" is missing, or no " + type.getSimpleName());
        }
        return type.cast(content.get(key));
    }

    /** How many steps had been made, from the start of the run. */
    public long step() {
        return step;
    }

    /** The epoch, counted from 0, to which the next step belongs. */
    public long epoch() {
        return epoch;
    }

    /** The model's tensors by name. */
    public Map<String, Tensor> model() {
        return Collections.unmodifiableMap(model);
    }

    /** The optimizer's state, as {@link Optimizer#stateDict} gives it; empty where none was kept. */
    public Map<?, ?> optimizer() {
        return Collections.unmodifiableMap(optimizer);
    }

    /** The loader's position; empty where none was kept. */
    public Map<?, ?> loader() {
        return Collections.unmodifiableMap(loader);
    }

    /** What the user added. */
    public Map<?, ?> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /**
     * Copies the values into a model's tensors of the same names.
     *
     * @throws InvalidArgumentException where a name is missing on either side, or shapes differ; nothing is copied then
     */
    public void restoreModel(Map<String, Tensor> target) {
        StateDict.copy(model, target);
    }

    /**
     * Puts the optimizer's state in the place of {@code target}'s.
     *
     * @throws NotFoundException where none was kept
     * @throws InvalidArgumentException where it does not fit; nothing is changed then
     */
    public void restoreOptimizer(Optimizer target) {
        if (optimizer.isEmpty()) {
            throw new NotFoundException("the checkpoint after " + step + " steps has no optimizer's state");
        }
        target.loadStateDict(optimizer);
    }

    /**
     * Lets random numbers go on where they were. Of devices that were not there, or are not here, the generators stay as they
     * are. Generators are a process's own: a checkpoint has those of the rank that wrote it.
     *
     * @throws InvalidArgumentException where a state is none
     */
    public void restoreRandomState() {
        restoreRandomState(Device.CPU);
        for (int i = 0; i < Device.count(Device.Type.CUDA); i++) {
            restoreRandomState(Device.cuda(i));
        }
    }

    private void restoreRandomState(Device device) {
        if (random.get(device.toString()) instanceof Tensor state) {
            Torch.randomState(device, state);
        }
    }

    /** Frees what it owns; a second close does nothing. */
    @Override
    public void close() {
        owned.forEach(Tensor::close);
        owned.clear();
    }
}
