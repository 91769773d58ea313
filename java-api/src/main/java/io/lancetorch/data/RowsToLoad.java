package io.lancetorch.data;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;

/** Which rows of a dataset a loader is to load at all, before a sampler deals them. */
final class RowsToLoad {
    private RowsToLoad() {}

    /**
     * Null for all rows.
     *
     * @param selection or null
     * @param filter an SQL expression, or null
     * @param samples how many of the rows to take, or -1
     * @param group whose ranks look for the filter's rows together, or null
     */
    static RowSelection of(
            LanceDataset dataset, RowSelection selection, String filter, long samples, long seed, ProcessGroup group) {
        if (selection != null && filter != null) {
            throw new InvalidArgumentException(
                    "rows(...) and filter(\"" + filter + "\") do not go together: select rows by one of them");
        }
        RowSelection rows = selection;
        if (filter != null) {
            rows = group == null || group.worldSize() == 1
                    ? dataset.select(filter)
                    : selectTogether(dataset, filter, group);
        }
        if (samples < 0) {
            return rows;
        }
        List<Fragment> fragments = rows == null ? dataset.fragments() : rows.fragments();
        long total = fragments.stream().mapToLong(Fragment::rows).sum();
        RowSelection sample = RowSelection.sample(fragments, Math.min(samples, total), seed);
        return rows == null ? sample : within(rows, sample);
    }

    /** The rows of {@code rows} whose numbers within each fragment {@code numbers} has. */
    private static RowSelection within(RowSelection rows, RowSelection numbers) {
        List<RowRange> ranges = new ArrayList<>();
        for (RowRange range : numbers.ranges()) {
            rows.forEachRange(
                    range.fragmentId(),
                    range.begin(),
                    range.end(),
                    (fragmentId, begin, end) -> ranges.add(new RowRange(fragmentId, begin, end)));
        }
        return RowSelection.of(ranges);
    }

    /** Each rank looks through some of the fragments, and tells the others what it has found. */
    private static RowSelection selectTogether(LanceDataset dataset, String filter, ProcessGroup group) {
        List<Fragment> fragments = dataset.fragments();
        int world = group.worldSize();
        int first = (int) ((long) fragments.size() * group.rank() / world);
        int end = (int) ((long) fragments.size() * (group.rank() + 1) / world);
        List<RowRange> all = new ArrayList<>();
        for (long[] found : ReadTogether.read(
                group,
                "apply the filter \"" + filter + "\" to " + dataset.uri(),
                () -> end == first
                        ? new long[0]
                        : dataset.select(filter, fragments.subList(first, end)).ranges().stream()
                                .flatMapToLong(range -> LongStream.of(range.fragmentId(), range.begin(), range.end()))
                                .toArray())) {
            for (int at = 0; at < found.length; at += 3) {
                all.add(new RowRange(found[at], found[at + 1], found[at + 2]));
            }
        }
        return RowSelection.of(all);
    }
}
