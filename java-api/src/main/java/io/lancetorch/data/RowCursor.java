package io.lancetorch.data;

import io.lancetorch.lance.Fragment;
import java.util.List;
import java.util.function.LongUnaryOperator;

/**
 * Walks over the rows of every {@code stride}-th fragment of the epoch's order, from the {@code first} on, and begins anew at
 * the end.
 */
final class RowCursor {
    private final Fragment[] fragments;
    private final long total;
    private int index;
    private long row;

    RowCursor(PlanRequest request, boolean shuffle, int first, int stride) {
        List<Fragment> all = request.fragments();
        LongUnaryOperator order = request.order(all.size(), shuffle);
        int count = all.size() > first ? (all.size() - first + stride - 1) / stride : 0;
        fragments = new Fragment[count];
        long rows = 0;
        for (int i = 0; i < count; i++) {
            fragments[i] = all.get((int) order.applyAsLong(first + (long) i * stride));
            rows += fragments[i].rows();
        }
        total = rows;
    }

    long total() {
        return total;
    }

    /** Adds the next {@code count} rows to the open step. */
    void take(long count, Plan.Builder plan) {
        long left = count;
        while (left > 0) {
            Fragment fragment = fragments[index];
            long rows = Math.min(left, fragment.rows() - row);
            plan.add(fragment.id(), row, row + rows);
            left -= rows;
            row += rows;
            if (row == fragment.rows()) {
                row = 0;
                index = (index + 1) % fragments.length;
            }
        }
    }

    /**
     * Cuts {@code target} rows into steps: this cursor's rows, and, where they are fewer, repeats of them; where it has none,
     * repeats of the whole dataset's.
     */
    Plan deal(PlanRequest request, long target) {
        RowCursor source = this;
        if (total == 0) {
            source = new RowCursor(request, false, 0, 1);
        }
        var plan = new Plan.Builder();
        for (long done = 0; done < target; ) {
            long rows = Math.min(request.batchSize(), target - done);
            if (rows < request.batchSize() && request.dropLast()) {
                break;
            }
            source.take(rows, plan);
            plan.endStep(Math.clamp(total - done, 0, rows));
            done += rows;
        }
        return plan.build();
    }
}
