package io.lancetorch.cookbook;

import io.lancetorch.data.Collate;
import io.lancetorch.data.DataLoader;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import java.util.Map;

/** A collate function that mixes each image with another one of the batch: mixup. */
final class OneHotMixup {
    private OneHotMixup() {}

    // START SNIPPET: mixup
    private static final Op ONE_HOT = Op.find("aten::one_hot", "");
    private static final Op FLIP = Op.find("aten::flip", "");

    /** Each row becomes {@code share} of itself and the rest of its counterpart from the batch's other end. */
    static Collate mixup(long classes, double share) {
        return read -> {
            Tensor images = read.get("image"); // [rows, 3, height, width]
            Tensor labels = ONE_HOT.call(read.get("label"), classes).to(DType.FLOAT32);
            return Map.of("image", mixed(images, share), "target", mixed(labels, share));
        };
    }

    private static Tensor mixed(Tensor rows, double share) {
        Tensor others = FLIP.call(rows, new long[] {0});
        return Ops.add(Ops.mul(rows, share), Ops.mul(others, 1 - share));
    }

    static DataLoader open(LanceDataset dataset) {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(64, 64))
                .collate(mixup(10, 0.8)) // runs on the loader's threads
                .open();
    }
    // END SNIPPET: mixup
}
