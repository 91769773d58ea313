package io.lancetorch.cookbook;

import io.lancetorch.data.DataLoader;
import io.lancetorch.data.DistributedSampler;
import io.lancetorch.lance.LanceDataset;

/** Ranks that share a model, and so need the same batches. */
final class SharedModel {
    private SharedModel() {}

    // START SNIPPET: open
    /** With {@code modelRanks} of 2, ranks 0 and 1 are a replica of the model, ranks 2 and 3 the next one. */
    static DataLoader open(LanceDataset dataset, int rank, int worldSize, int modelRanks) {
        return DataLoader.of(dataset)
                .columns("label")
                .sampler(new DistributedSampler())
                .rank(rank, worldSize)
                .replication(modelRanks)
                .batchSize(5)
                .open();
    }
    // END SNIPPET: open
}
