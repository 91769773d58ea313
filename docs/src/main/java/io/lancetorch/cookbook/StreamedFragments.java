package io.lancetorch.cookbook;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.ShardedFragmentSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.lance.LanceDataset;

/** Whole fragments for each rank, streamed. */
final class StreamedFragments {
    private StreamedFragments() {}

    // START SNIPPET: sum
    /** Sums a column of a rank's share; the sums of all ranks together are the column's. */
    static long sumOfLabels(LanceDataset dataset, int rank, int worldSize) {
        long sum = 0;
        try (var loader = DataLoader.of(dataset)
                .columns("label")
                .sampler(new ShardedFragmentSampler(true, Uneven.PAD)) // rank r: fragments r, r + W, ...
                .iterableStyle()
                .rank(rank, worldSize)
                .batchSize(64)
                .open()) {
            for (Batch batch : loader) {
                long[] labels = batch.get("label").toLongs();
                for (int row = 0; row < batch.rows(); row++) {
                    sum += batch.isValid(row) ? labels[row] : 0; // rows that only fill a batch up are not valid
                }
            }
        }
        return sum;
    }
    // END SNIPPET: sum
}
