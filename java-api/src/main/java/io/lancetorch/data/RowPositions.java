package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowSelection;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Numbers the rows of fragments through, 0 to {@code total} - 1, and finds the fragment of a number by binary search. */
final class RowPositions {
    private final List<Fragment> fragments;
    private final long[] starts;
    private final long[] sortedIds;
    private final int[] sortedIndices;

    RowPositions(List<Fragment> fragments) {
        this.fragments = fragments;
        starts = new long[fragments.size() + 1];
        for (int i = 0; i < fragments.size(); i++) {
            starts[i + 1] = starts[i] + fragments.get(i).rows();
        }
        sortedIndices = IntStream.range(0, fragments.size())
                .boxed()
                .sorted(Comparator.comparingLong(i -> fragments.get(i).id()))
                .mapToInt(Integer::intValue)
                .toArray();
        sortedIds = Arrays.stream(sortedIndices)
                .mapToLong(i -> fragments.get(i).id())
                .toArray();
    }

    /** The number of a row by its {@link Plan#key}. */
    long of(long key) {
        return starts[index(Plan.fragmentOf(key))] + Plan.rowOf(key);
    }

    /** Where a fragment is in the list, or -1. */
    private int index(long id) {
        int found = Arrays.binarySearch(sortedIds, id);
        return found < 0 ? -1 : sortedIndices[found];
    }

    long total() {
        return starts[fragments.size()];
    }

    /** The number of the first row of the fragment at {@code index}. */
    long start(int index) {
        return starts[index];
    }

    /** Which fragment has the row of that number. */
    int fragment(long position) {
        int found = Arrays.binarySearch(starts, position);
        int index = found >= 0 ? found : -found - 2;
        while (starts[index + 1] == starts[index]) {
            index++;
        }
        return index;
    }

    /** Adds the rows {@code begin} to {@code end} - 1 to the open step. */
    void add(long begin, long end, Plan.Builder plan) {
        if (begin == end) {
            return;
        }
        if (begin < 0 || end > total()) {
            throw new InvalidArgumentException(
                    "row " + (begin < 0 ? begin : end - 1) + " of a dataset of " + total() + " rows");
        }
        int index = fragment(begin);
        for (long at = begin; at < end; index++) {
            long stop = Math.min(end, starts[index + 1]);
            plan.add(fragments.get(index).id(), at - starts[index], stop - starts[index]);
            at = stop;
        }
    }

    /**
     * The numbers of the first rows of the fragments that a selection has rows of.
     *
     * @throws InvalidArgumentException where it has rows that are not here
     */
    long[] starts(RowSelection selection) {
        long[] result = new long[selection.fragments().size()];
        for (int i = 0; i < result.length; i++) {
            Fragment selected = selection.fragments().get(i);
            int index = index(selected.id());
            long last = selection.row(selected.id(), selected.rows() - 1);
            long rows = index < 0 ? 0 : fragments.get(index).rows();
            if (last >= rows) {
                throw new InvalidArgumentException(
                        "the selection has row " + last + " of fragment " + selected.id() + ", "
                                + (index < 0 ? "which the dataset does not have" : "of " + rows + " rows")
                                + ": select from the version that is read");
            }
            result[i] = starts[index];
        }
        return result;
    }
}
