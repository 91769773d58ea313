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

    /** Deals what is left of the order. */
    static Plan plan(PlanRequest request, EpochOrder order, Uneven uneven, Rows rows) {
        int size = request.batchSize();
        int world = request.worldSize();
        var plan = new Plan.Builder().order(order);
        long full = (order.rows() - order.begin()) / size;
        for (long batch = request.rank(); batch < full - full % world; batch += world) {
            rows.add(order.begin() + batch * size, order.begin() + (batch + 1) * size, plan);
            plan.endStep(size);
        }
        lastStep(request, order, uneven, rows, plan);
        return plan.build();
    }

    /** The step in which some ranks have a whole batch, one may have what is left, and others nothing. */
    private static void lastStep(PlanRequest request, EpochOrder order, Uneven uneven, Rows rows, Plan.Builder plan) {
        int size = request.batchSize();
        int world = request.worldSize();
        long total = order.rows() - order.begin();
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
                    + " rows in batches of " + size + " on " + world + " ranks: pad, drop or join");
        }
        long count = uneven == Uneven.DROP ? least : most;
        if (count == 0 || count < size && request.dropLast()) {
            return;
        }
        long ahead = request.rank() - wholeLeft;
        long mine = ahead < 0 ? size : ahead == 0 ? rest : 0;
        long begin = order.begin() + Math.min(full + ahead, full) * size;
        long valid = Math.min(mine, count);
        rows.add(begin, begin + valid, plan);
        if (uneven != Uneven.JOIN) {
            repeat(Math.max(0, ahead * count - rest), count - valid, order.rows(), rows, plan);
        } else if (valid == 0) {
            idle(request, order.rows(), rows, plan);
        }
        plan.endStep(valid);
    }

    /** Ranks that lack rows take them from the order's beginning, one after the other. */
    private static void repeat(long first, long count, long total, Rows rows, Plan.Builder plan) {
        long missing = count;
        for (long at = first; missing > 0; ) {
            long from = at % total;
            long part = Math.min(missing, total - from);
            rows.add(from, from + part, plan);
            at += part;
            missing -= part;
        }
    }

    /** Adds the few rows with which a rank that has run out takes part. */
    static void idle(PlanRequest request, long total, Rows rows, Plan.Builder plan) {
        repeat(0, Math.min(Uneven.IDLE_ROWS, request.batchSize()), total, rows, plan);
    }
}
