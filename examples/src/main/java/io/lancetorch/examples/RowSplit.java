package io.lancetorch.examples;

import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RowRange;
import java.util.ArrayList;
import java.util.List;

/**
 * A dataset's rows in two parts, the same for every run: of each fragment, blocks are held out at even distances, so that
 * also a dataset in the order of its classes gives some of each.
 */
record RowSplit(List<RowRange> training, List<RowRange> validation) {
    private static final int BLOCKS = 20;

    static RowSplit of(LanceDataset dataset, double fraction) {
        List<RowRange> training = new ArrayList<>();
        List<RowRange> validation = new ArrayList<>();
        for (Fragment fragment : dataset.fragments()) {
            long rows = fragment.rows();
            for (int block = 0; block < BLOCKS; block++) {
                long begin = rows * block / BLOCKS;
                long end = rows * (block + 1) / BLOCKS;
                long cut = end - Math.round((end - begin) * fraction);
                add(training, fragment.id(), begin, cut);
                add(validation, fragment.id(), cut, end);
            }
        }
        return new RowSplit(training, validation);
    }

    private static void add(List<RowRange> ranges, long fragment, long begin, long end) {
        if (begin == end) {
            return;
        }
        if (!ranges.isEmpty()
                && ranges.getLast().fragmentId() == fragment
                && ranges.getLast().end() == begin) {
            ranges.set(
                    ranges.size() - 1, new RowRange(fragment, ranges.getLast().begin(), end));
        } else {
            ranges.add(new RowRange(fragment, begin, end));
        }
    }

    long trainingRows() {
        return training.stream().mapToLong(RowRange::rows).sum();
    }
}
