package io.lancetorch.data;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;

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
        List<RowRange> mine = List.of();
        RuntimeException failure = null;
        try {
            if (end > first) {
                mine = dataset.select(filter, fragments.subList(first, end)).ranges();
            }
        } catch (RuntimeException e) {
            // Told to the others first, who would wait for this rank else.
            failure = e;
        }
        long[] counts = gather(group, new long[] {failure == null ? mine.size() : -1});
        if (failure != null) {
            throw failure;
        }
        int most = 0;
        for (int rank = 0; rank < world; rank++) {
            if (counts[rank] < 0) {
                throw new PeerFailedException("rank " + rank + " could not apply the filter \"" + filter + "\" to "
                        + dataset.uri() + "; its own log says why");
            }
            most = Math.max(most, Math.toIntExact(counts[rank]));
        }
        long[] sent = new long[3 * most];
        for (int i = 0; i < mine.size(); i++) {
            RowRange range = mine.get(i);
            sent[3 * i] = range.fragmentId();
            sent[3 * i + 1] = range.begin();
            sent[3 * i + 2] = range.end();
        }
        List<RowRange> all = new ArrayList<>();
        long[] received = most == 0 ? new long[0] : gather(group, sent);
        for (int rank = 0; rank < world; rank++) {
            for (int i = 0; i < counts[rank]; i++) {
                int at = 3 * (rank * most + i);
                all.add(new RowRange(received[at], received[at + 1], received[at + 2]));
            }
        }
        return RowSelection.of(all);
    }

    /** The values of all ranks, one rank's after the other's. */
    private static long[] gather(ProcessGroup group, long[] values) {
        try (var _ = new TensorScope()) {
            List<Tensor> outputs = new ArrayList<>();
            for (int rank = 0; rank < group.worldSize(); rank++) {
                outputs.add(Tensor.empty(DType.INT64, values.length));
            }
            group.allGather(outputs, Tensor.of(values));
            return Ops.cat(0, outputs.toArray(Tensor[]::new)).toLongs();
        }
    }
}
