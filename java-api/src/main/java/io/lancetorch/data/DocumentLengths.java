package io.lancetorch.data;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.lance.Scan;
import java.util.List;

/** How many tokens each document of a dataset has. */
final class DocumentLengths {
    private static final int ROWS = 4096;

    private DocumentLengths() {}

    /**
     * Reads them, by position among the rows.
     *
     * @param rows to count, or null for all
     * @param group whose ranks read a share each, or null
     */
    static int[] read(LanceDataset dataset, RowSelection rows, String column, Packing packing, ProcessGroup group) {
        List<Fragment> fragments = rows == null ? dataset.fragments() : rows.fragments();
        long total = fragments.stream().mapToLong(Fragment::rows).sum();
        if (total > Integer.MAX_VALUE - 8) {
            throw new InvalidArgumentException(total + " documents in " + dataset.uri()
                    + ": at most 2^31 are packed by one loader; select some with filter(...) or rows(...)");
        }
        if (group == null || group.worldSize() == 1) {
            return narrowed(List.of(share(dataset, rows, column, packing, 0, total)), total);
        }
        long begin = total * group.rank() / group.worldSize();
        long end = total * (group.rank() + 1) / group.worldSize();
        String what = "read how long the documents of " + dataset.uri() + " are";
        return narrowed(ReadTogether.read(group, what, () -> share(dataset, rows, column, packing, begin, end)), total);
    }

    private static int[] narrowed(List<long[]> shares, long total) {
        int[] lengths = new int[(int) total];
        int at = 0;
        for (long[] share : shares) {
            for (long length : share) {
                if (length < 0 || length >= Integer.MAX_VALUE) {
                    throw new CorruptDataException("document " + at + " has " + length + " tokens", at);
                }
                lengths[at++] = (int) length;
            }
        }
        return lengths;
    }

    private static long[] share(
            LanceDataset dataset, RowSelection rows, String column, Packing packing, long begin, long end) {
        long[] lengths = new long[(int) (end - begin)];
        Sampler inOrder = request -> {
            var positions = new RowPositions(request.fragments());
            var plan = new Plan.Builder();
            for (long at = begin; at < end; at += ROWS) {
                positions.add(at, Math.min(end, at + ROWS), plan);
                plan.endStep(plan.openRows());
            }
            return plan.build();
        };
        Sampler sampler = rows == null ? inOrder : new SubsetSampler(rows, inOrder);
        Plan plan = sampler.plan(new PlanRequest(dataset.fragments(), 1, 0, 0, 0, ROWS, false));
        if (plan.steps() == 0) {
            return lengths;
        }
        boolean counted = packing.lengthColumn() != null;
        try (Scan scan = plan.scan(dataset.scan())
                .columns(List.of(counted ? packing.lengthColumn() : column))
                .open()) {
            int at = 0;
            for (int step = 0; step < plan.steps(); step++) {
                try (RecordBatch batch = scan.next()) {
                    Column values = batch.column(0);
                    var tokens = counted ? null : new TokenReader(values);
                    if (counted) {
                        ColumnTensors.requireNoNull(values, 0, values.length(), 1, values);
                    }
                    for (long row = 0; row < batch.rows(); row++) {
                        lengths[at++] = counted ? values.integer(row) : tokens.length(row);
                    }
                }
            }
        }
        return lengths;
    }
}
