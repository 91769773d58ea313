package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/**
 * Deals the rows of an epoch one by one: rank r reads those at places r, r + worldSize, ... of the epoch's order, cut into
 * steps of {@code batchSize}: PyTorch's {@code DistributedSampler}, over any {@link RowSampler}. Unlike there, repeats that
 * pad the last step are told apart ({@link Plan#validRows}), and {@code setEpoch} is the loader's.
 *
 * <p>A run that is resumed deals what is left of the epoch's order in the same way, in any world and by any batch size.
 *
 * @param rows the rows of an epoch, and their order
 * @param uneven where the ranks do not divide the rows: repeat rows from the order's beginning, leave out its last ones, give
 *     each what is left, or refuse
 */
public record DistributedSampler(RowSampler rows, Uneven uneven) implements Sampler {
    /** All rows in random order, padded. */
    public DistributedSampler() {
        this(new RandomSampler(), Uneven.PAD);
    }

    @Override
    public Plan plan(PlanRequest request) {
        RowSequence sequence = rows.rows(request);
        long total = sequence.size();
        int world = request.worldSize();
        EpochOrder order = EpochOrder.of(request, total);
        long left = total - order.begin();
        if (uneven == Uneven.REFUSE && left % world != 0) {
            throw new InvalidArgumentException(left + " rows give " + (left / world + 1) + " to rank 0 and "
                    + left / world + " to rank " + (world - 1) + " of " + world + ": pad, drop or join");
        }
        long share = left / world + (uneven != Uneven.DROP && left % world != 0 ? 1 : 0);
        long mine = left / world + (request.rank() < left % world ? 1 : 0);
        long first = order.begin() + request.rank();
        var positions = new RowPositions(request.fragments());
        var plan = new Plan.Builder().order(order);
        for (long done = 0; done < share; ) {
            long count = Math.min(request.batchSize(), share - done);
            if (count < request.batchSize() && request.dropLast()) {
                break;
            }
            long valid = Math.clamp(mine - done, 0, count);
            if (uneven == Uneven.JOIN && valid == 0) {
                BatchDeal.idle(
                        request, total, (begin, end, step) -> add(sequence, begin, end, 1, positions, step), plan);
            } else {
                long rows = uneven == Uneven.JOIN ? valid : count;
                add(sequence, first + done * world, first + (done + rows) * world, world, positions, plan);
            }
            plan.endStep(valid);
            done += count;
        }
        return plan.build();
    }

    /** Adds the rows at every {@code stride}-th place; those behind the order's end are at its beginning. */
    private static void add(
            RowSequence sequence, long begin, long end, int stride, RowPositions positions, Plan.Builder plan) {
        for (long place = begin; place < end; place += stride) {
            long row = sequence.at(place % sequence.size());
            positions.add(row, row + 1, plan);
        }
    }
}
