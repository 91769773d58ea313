package io.lancetorch.examples.model;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * ResNet-18 and ResNet-50 (He et al., 2015; the 50 with the stride in the 3x3 convolution) with torchvision's names for the
 * parameters, so that its state dicts load. The caller closes it.
 */
public final class ResNet implements AutoCloseable {
    private final Parameters parameters;
    private final ConvNorm stem;
    private final List<Block> blocks = new ArrayList<>();
    private final Tensor weight;
    private final Tensor bias;

    /** A model by name, for that many classes, with random values by libtorch's generator. */
    public static ResNet of(String name, int classes) {
        return of(name, classes, Device.CPU, MemoryFormat.CHANNELS_LAST);
    }

    /** As {@link #of(String, int)}, with the same values on any device; {@code format}: of the convolutions' weights. */
    public static ResNet of(String name, int classes, Device device, MemoryFormat format) {
        var parameters = new Parameters(device, format);
        return switch (name) {
            case "resnet18" -> new ResNet(parameters, false, new int[] {2, 2, 2, 2}, classes);
            case "resnet50" -> new ResNet(parameters, true, new int[] {3, 4, 6, 3}, classes);
            default -> throw new InvalidArgumentException("no model " + name + "; there are resnet18 and resnet50");
        };
    }

    private ResNet(Parameters parameters, boolean bottleneck, int[] depths, int classes) {
        this.parameters = parameters;
        stem = new ConvNorm(parameters, "conv1", "bn1", 3, 64, 7, 2);
        int in = 64;
        for (int layer = 0; layer < depths.length; layer++) {
            int width = 64 << layer;
            for (int i = 0; i < depths[layer]; i++) {
                String prefix = "layer" + (layer + 1) + "." + i + ".";
                int stride = i == 0 && layer > 0 ? 2 : 1;
                blocks.add(new Block(parameters, prefix, bottleneck, in, width, stride));
                in = bottleneck ? 4 * width : width;
            }
        }
        try (var _ = new TensorScope()) {
            double bound = 1 / Math.sqrt(in);
            weight = parameters.parameter(
                    "fc.weight", Ops.uniformInPlace(Tensor.empty(DType.FLOAT32, classes, in), -bound, bound));
            bias = parameters.parameter(
                    "fc.bias", Ops.uniformInPlace(Tensor.empty(DType.FLOAT32, classes), -bound, bound));
        }
    }

    /** Two 3x3 convolutions, or a 1x1, a 3x3 and a 1x1, beside a way around them. */
    private static final class Block {
        private final ConvNorm[] convolutions;
        private final ConvNorm downsample;

        Block(Parameters parameters, String prefix, boolean bottleneck, int in, int width, int stride) {
            int out = bottleneck ? 4 * width : width;
            convolutions = bottleneck
                    ? new ConvNorm[] {
                        conv(parameters, prefix, 1, in, width, 1, 1),
                        conv(parameters, prefix, 2, width, width, 3, stride),
                        conv(parameters, prefix, 3, width, out, 1, 1)
                    }
                    : new ConvNorm[] {
                        conv(parameters, prefix, 1, in, width, 3, stride),
                        conv(parameters, prefix, 2, width, width, 3, 1)
                    };
            downsample = stride == 1 && in == out
                    ? null
                    : new ConvNorm(parameters, prefix + "downsample.0", prefix + "downsample.1", in, out, 1, stride);
        }

        private static ConvNorm conv(
                Parameters parameters, String prefix, int number, int in, int out, int kernel, int stride) {
            return new ConvNorm(parameters, prefix + "conv" + number, prefix + "bn" + number, in, out, kernel, stride);
        }

        Tensor forward(Tensor input, boolean training) {
            Tensor features = input;
            for (int i = 0; i < convolutions.length; i++) {
                features = convolutions[i].forward(features, training);
                if (i < convolutions.length - 1) {
                    features = Ops.reluInPlace(features);
                }
            }
            Tensor around = downsample == null ? input : downsample.forward(input, training);
            return Ops.reluInPlace(Ops.addInPlace(features, around));
        }
    }

    /** images float32 [batch, 3, height, width], best in channels-last order; returns logits [batch, classes]. */
    public Tensor forward(Tensor images, boolean training) {
        Tensor features = Ops.maxPool2d(Ops.reluInPlace(stem.forward(images, training)), 3, 2, 1);
        for (Block block : blocks) {
            features = block.forward(features, training);
        }
        return Ops.linear(Ops.flatten(Ops.adaptiveAvgPool2d(features, 1, 1), 1), weight, bias);
    }

    /** What is trained, in order. */
    public List<Tensor> parameters() {
        return parameters.trained();
    }

    /** What is not trained: the batch norms' running values. */
    public List<Tensor> buffers() {
        return parameters.buffers();
    }

    /** All tensors by torchvision's names. */
    public Map<String, Tensor> stateDict() {
        return parameters.all();
    }

    /**
     * Reads a state dict. One for another number of classes leaves the last layer as it is, and the names of what was left
     * out are returned.
     */
    public List<String> load(Path path) {
        List<String> leftOut = new ArrayList<>();
        try (var _ = new TensorScope()) {
            Map<String, Tensor> source = new LinkedHashMap<>(StateDict.load(path));
            Map<String, Tensor> target = new LinkedHashMap<>(stateDict());
            Tensor classes = source.get("fc.weight");
            if (classes != null && classes.size(0) != weight.size(0)) {
                for (String name : List.of("fc.weight", "fc.bias")) {
                    source.remove(name);
                    target.remove(name);
                    leftOut.add(name);
                }
            }
            StateDict.copy(source, target);
        }
        return leftOut;
    }

    @Override
    public void close() {
        parameters.close();
    }
}
