package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/** Cuts the rows of an epoch into batches and deals these: step s of rank r is batch s * worldSize + r. */
final class BatchDeal {
    private BatchDeal() {}

    /** The rows of an epoch. */
    @FunctionalInterface
    interface Rows {
        /** Adds those at places {@code begin} to {@code end} - 1 of the epoch's order to the open step. */
        void add(long begin, long end, Plan.Builder plan);
    }

    static Plan plan(PlanRequest request, long total, Uneven uneven, Rows rows) {
        int size = request.batchSize();
        int world = request.worldSize();
        var plan = new Plan.Builder();
        long full = total / size;
        for (long batch = request.rank(); batch < full - full % world; batch += world) {
            rows.add(batch * size, (batch + 1) * size, plan);
            plan.endStep(size);
        }
        lastStep(request, total, uneven, rows, plan);
        return plan.build();
    }

    /** The step in which some ranks have a whole batch, one may have what is left, and others nothing. */
    private static void lastStep(PlanRequest request, long total, Uneven uneven, Rows rows, Plan.Builder plan) {
        int size = request.batchSize();
        int world = request.worldSize();
        long full = total / size;
        long wholeLeft = full % world;
        long rest = total % size;
        if (wholeLeft == 0 && rest == 0) {
            return;
        }
        long most = wholeLeft > 0 ? size : rest;
        long least = wholeLeft + (rest > 0 ? 1 : 0) < world ? 0 : rest;
        if (uneven == Uneven.REFUSE && most != least) {
            throw new InvalidArgumentException("the last of " + (full / world + 1) + " steps has " + most
                    + " rows for rank 0 and " + least + " for rank " + (world - 1) + ", of " + total
                    + " rows in batches of " + size + " on " + world + " ranks: pad or drop");
        }
        long count = uneven == Uneven.DROP ? least : most;
        if (count == 0 || count < size && request.dropLast()) {
            return;
        }
        long ahead = request.rank() - wholeLeft;
        long mine = ahead < 0 ? size : ahead == 0 ? rest : 0;
        long begin = Math.min(full + ahead, full) * size;
        long valid = Math.min(mine, count);
        rows.add(begin, begin + valid, plan);
        // Ranks that lack rows take them from the order's beginning, one after the other.
        long repeat = Math.max(0, ahead * count - rest);
        for (long missing = count - valid; missing > 0; ) {
            long from = repeat % total;
            long part = Math.min(missing, total - from);
            rows.add(from, from + part, plan);
            repeat += part;
            missing -= part;
        }
        plan.endStep(valid);
    }
}
