package io.lancetorch.cookbook;

import io.lancetorch.data.DataLoader;
import io.lancetorch.data.ShardedBatchSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;

/** Images that are decoded in the first epoch alone. */
final class DecodedOnce {
    private DecodedOnce() {}

    // START SNIPPET: open
    static DataLoader open(LanceDataset dataset) {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(224, 224).uint8()) // bytes: read back without a copy
                .sampler(new ShardedBatchSampler(true, Uneven.PAD))
                .batchSize(64)
                .cache() // a dataset beside the first; 3 * 224 * 224 bytes an image
                .open();
    }
    // END SNIPPET: open
}
