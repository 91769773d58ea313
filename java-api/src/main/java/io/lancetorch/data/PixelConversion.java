package io.lancetorch.data;

import io.lancetorch.lance.ImageTransform;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;

/** Makes a transform's floats of its bytes by operators, on the device that the bytes have been copied to. */
final class PixelConversion implements AutoCloseable {
    private static final Op DIVIDE = Op.find("aten::div_", "Scalar");
    private static final Op DIVIDE_BY = Op.find("aten::div_", "Tensor");

    private final Tensor mean;
    private final Tensor deviation;

    PixelConversion(ImageTransform transform, Device device) {
        mean = channels(transform.mean(), device);
        deviation = channels(transform.deviation(), device);
    }

    private static Tensor channels(float[] values, Device device) {
        if (values == null) {
            return null;
        }
        try (var _ = new TensorScope()) {
            return TensorScope.detach(Tensor.of(values, 1, 3, 1, 1).to(device));
        }
    }

    /**
     * Float32 of uint8 [rows, 3, height, width], in the same order of memory. {@code bad}: rows without an image, which are 0
     * whatever 0 is normalised to; null: none.
     */
    Tensor convert(Tensor bytes, boolean[] bad) {
        try (var _ = new TensorScope()) {
            Tensor pixels = bytes.to(bytes.device(), DType.FLOAT32, MemoryFormat.PRESERVE, false, true);
            DIVIDE.call(pixels, 255.0);
            if (mean != null) {
                Ops.addInPlace(pixels, mean, -1);
                DIVIDE_BY.call(pixels, deviation);
            }
            for (int row = 0; bad != null && row < bad.length; row++) {
                if (bad[row]) {
                    Ops.fillInPlace(Ops.narrow(pixels, 0, row, 1), 0);
                }
            }
            return TensorScope.detach(pixels);
        }
    }

    @Override
    public void close() {
        if (mean != null) {
            mean.close();
            deviation.close();
        }
    }
}
