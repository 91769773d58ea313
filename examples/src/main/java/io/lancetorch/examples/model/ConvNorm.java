package io.lancetorch.examples.model;

import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;

/** A convolution without bias and the batch norm behind it. */
final class ConvNorm {
    private static final double MOMENTUM = 0.1;
    private static final double EPSILON = 1e-5;

    private final Tensor weight;
    private final Tensor scale;
    private final Tensor shift;
    private final Tensor mean;
    private final Tensor variance;
    private final Tensor batches;
    private final int stride;
    private final int padding;

    ConvNorm(Parameters parameters, String conv, String norm, int in, int out, int kernel, int stride) {
        this.stride = stride;
        padding = kernel / 2;
        try (var _ = new TensorScope()) {
            weight = parameters.parameter(conv + ".weight", Parameters.kaimingNormal(out, in, kernel));
            scale = parameters.parameter(norm + ".weight", Ops.ones(DType.FLOAT32, out));
            shift = parameters.parameter(norm + ".bias", Ops.zeros(DType.FLOAT32, out));
            mean = parameters.buffer(norm + ".running_mean", Ops.zeros(DType.FLOAT32, out));
            variance = parameters.buffer(norm + ".running_var", Ops.ones(DType.FLOAT32, out));
            batches = parameters.buffer(norm + ".num_batches_tracked", Ops.zeros(DType.INT64));
        }
    }

    Tensor forward(Tensor input, boolean training) {
        Tensor features = Ops.conv2d(input, weight, null, stride, padding, 1);
        // Where a channel has one value only, that has no variance, and the running one would be NaN from then on.
        boolean tracked = !training || features.size(0) * features.size(2) * features.size(3) > 1;
        if (training && tracked) {
            try (var _ = new TensorScope()) {
                Ops.addInPlace(batches, Ops.ones(DType.INT64));
            }
        }
        return Ops.batchNorm(
                features, scale, shift, tracked ? mean : null, tracked ? variance : null, training, MOMENTUM, EPSILON);
    }
}
