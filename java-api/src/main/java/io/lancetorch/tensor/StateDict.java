package io.lancetorch.tensor;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import java.nio.file.Path;
import java.util.Map;

/** A model's tensors by name, in the {@code .pt} files that {@code torch.save} and {@code torch.load} write and read. */
public final class StateDict {
    private StateDict() {}

    /**
     * Writes the tensors so that Python's {@code torch.load(path, weights_only=True)} gives a dict of the same names. The
     * file appears when it is whole; one that was there is replaced.
     *
     * @throws StorageException where the disk does not take it
     * @throws UnsupportedException for an unsigned dtype beyond 8 bits, which the format has no place for
     */
    public static void save(Path path, Map<String, Tensor> tensors) {
        TorchFile.save(path, tensors);
    }

    /**
     * Reads a dict of tensors, written by {@link #save} or by Python's {@code torch.save(module.state_dict(), path)}, in the
     * order of the file. The tensors are on the CPU and belong to the current scope.
     *
     * <p>No code of the file is run, and damage is found: see {@link TorchFile#load}, which also reads more than tensors.
     *
     * @throws NotFoundException where there is no such file
     * @throws CorruptDataException where it is cut short or damaged, or no state dict
     * @throws UnsupportedException for a dtype or an object that has no place in a state dict
     */
    public static Map<String, Tensor> load(Path path) {
        return TorchFileReader.readTensors(path);
    }

    /**
     * Copies the values of {@code source} into the tensors of {@code target} of the same names.
     *
     * @throws InvalidArgumentException where a name is missing on either side, or shapes differ; nothing is copied then
     */
    public static void copy(Map<String, Tensor> source, Map<String, Tensor> target) {
        for (String name : source.keySet()) {
            if (!target.containsKey(name)) {
                throw new InvalidArgumentException("the state dict has " + name + ", which the model has not");
            }
        }
        target.forEach((name, tensor) -> {
            Tensor value = source.get(name);
            if (value == null) {
                throw new InvalidArgumentException("the state dict has no " + name + ", which the model has");
            }
            if (!java.util.Arrays.equals(value.shape(), tensor.shape())) {
                throw new InvalidArgumentException(name + " has shape "
                        + java.util.Arrays.toString(value.shape()) + " in the state dict, and "
                        + java.util.Arrays.toString(tensor.shape()) + " in the model");
            }
        });
        try (var _ = GradMode.noGrad()) {
            target.forEach((name, tensor) -> tensor.copyFrom(source.get(name)));
        }
    }
}
