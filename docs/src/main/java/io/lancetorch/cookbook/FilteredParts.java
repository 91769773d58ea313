package io.lancetorch.cookbook;

import io.lancetorch.data.DataLoader;
import io.lancetorch.data.DistributedSampler;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import java.util.List;

/** Parts of a dataset: by an expression, and by a share of every fragment. */
final class FilteredParts {
    private FilteredParts() {}

    // START SNIPPET: filter
    /** Loads the rows that an SQL expression accepts, and 1,000 of these at most. */
    static DataLoader fewClasses(LanceDataset dataset) {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(64, 64))
                .filter("label < 3 and image is not null")
                .samples(1_000)
                .sampler(new DistributedSampler()) // deals the rows that are left
                .open();
    }
    // END SNIPPET: filter

    // START SNIPPET: split
    /** The first 90 % of each fragment's rows, or the other ones, for validation. */
    static RowSelection part(LanceDataset dataset, boolean training) {
        List<RowRange> ranges = dataset.fragments().stream()
                .map(fragment -> {
                    long cut = fragment.rows() * 9 / 10;
                    return training
                            ? new RowRange(fragment.id(), 0, cut)
                            : new RowRange(fragment.id(), cut, fragment.rows());
                })
                .toList();
        return RowSelection.of(ranges);
    }

    static DataLoader open(LanceDataset dataset, boolean training) {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(64, 64))
                .rows(part(dataset, training))
                .open();
    }
    // END SNIPPET: split
}
