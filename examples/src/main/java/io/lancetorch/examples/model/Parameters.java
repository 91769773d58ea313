package io.lancetorch.examples.model;

import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Owns a model's tensors, by the names that PyTorch's modules would give them. */
final class Parameters implements AutoCloseable {
    private final Device device;
    private final MemoryFormat format;
    private final Map<String, Tensor> all = new LinkedHashMap<>();
    private final List<Tensor> trained = new ArrayList<>();
    private final List<Tensor> buffers = new ArrayList<>();

    /** {@code format}: of weights of 4 dimensions. */
    Parameters(Device device, MemoryFormat format) {
        this.device = device;
        this.format = format;
    }

    Tensor parameter(String name, Tensor value) {
        MemoryFormat order = value.shape().length == 4 ? format : MemoryFormat.CONTIGUOUS;
        Tensor tensor =
                TensorScope.detach(value.to(device, null, order, false, false).requiresGrad(true));
        all.put(name, tensor);
        trained.add(tensor);
        return tensor;
    }

    Tensor buffer(String name, Tensor value) {
        Tensor tensor = TensorScope.detach(value.to(device));
        all.put(name, tensor);
        buffers.add(tensor);
        return tensor;
    }

    /** A convolution's weight by He's rule for its outputs, as torchvision's ResNet starts. */
    static Tensor kaimingNormal(int out, int in, int kernel) {
        Tensor weight = Tensor.empty(io.lancetorch.tensor.DType.FLOAT32, out, in, kernel, kernel);
        Ops.normalInPlace(weight, 0, Math.sqrt(2.0 / (out * kernel * kernel)));
        return weight;
    }

    Map<String, Tensor> all() {
        return Collections.unmodifiableMap(all);
    }

    List<Tensor> trained() {
        return Collections.unmodifiableList(trained);
    }

    List<Tensor> buffers() {
        return Collections.unmodifiableList(buffers);
    }

    @Override
    public void close() {
        all.values().forEach(Tensor::close);
    }
}
