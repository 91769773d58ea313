package io.lancetorch.cookbook;

import io.lancetorch.data.DataLoader;
import io.lancetorch.data.DistributedSampler;
import io.lancetorch.data.RandomSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;

/** A loader in map style: rows by their indices, in another random order each epoch. */
final class ShuffledRows {
    private ShuffledRows() {}

    // START SNIPPET: open
    static DataLoader open(LanceDataset dataset) {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(224, 224))
                .sampler(new DistributedSampler(new RandomSampler(), Uneven.PAD))
                .mapStyle()
                .batchSize(64)
                .seed(7) // the same seed and epoch: the same batches, byte for byte
                .open();
    }
    // END SNIPPET: open
}
