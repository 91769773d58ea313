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

    /** Goes on by {@code count} rows. */
    private void skip(long count) {
        long left = total == 0 ? 0 : count % total;
        while (left >= fragments[index].rows() && left > 0) {
            left -= fragments[index].rows();
            index = (index + 1) % fragments.length;
        }
        row = left;
    }

    /**
     * Cuts {@code target} rows, without the {@code done} first ones, into steps: this cursor's rows, and, where they are fewer,
     * repeats of them; where it has none, repeats of the whole dataset's. {@code join}: no more repeats than let the rank take
     * part.
     */
    Plan deal(PlanRequest request, EpochOrder order, long done, long target, boolean join) {
        RowCursor source = total > 0 ? this : new RowCursor(request, false, 0, 1);
        var plan = new Plan.Builder().order(order);
        if (done < target) {
            source.skip(done);
        }
        for (long at = done; at < target; ) {
            long rows = Math.min(request.batchSize(), target - at);
            if (rows < request.batchSize() && request.dropLast()) {
                break;
            }
            long valid = Math.clamp(total - at, 0, rows);
            if (join && valid == 0) {
                source.index = 0;
                source.row = 0;
                source.take(Math.min(Uneven.IDLE_ROWS, request.batchSize()), plan);
            } else {
                source.take(join ? valid : rows, plan);
            }
            plan.endStep(valid);
            at += rows;
        }
        return plan.build();
    }
}
