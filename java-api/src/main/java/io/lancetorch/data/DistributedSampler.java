package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/**
 * Deals the rows of an epoch one by one: rank r reads those at places r, r + worldSize, ... of the epoch's order, cut into
 * steps of {@code batchSize}: PyTorch's {@code DistributedSampler}, over any {@link RowSampler}. Unlike there, repeats that
 * pad the last step are told apart ({@link Plan#validRows}), and {@code setEpoch} is the loader's.
 *
 * @param rows the rows of an epoch, and their order
 * @param uneven where the ranks do not divide the rows: repeat rows from the order's beginning, leave out its last ones, or
 *     refuse
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
        if (uneven == Uneven.REFUSE && total % world != 0) {
            throw new InvalidArgumentException(total + " rows give " + (total / world + 1) + " to rank 0 and "
                    + total / world + " to rank " + (world - 1) + " of " + world + ": pad or drop");
        }
        long share = total / world + (uneven != Uneven.DROP && total % world != 0 ? 1 : 0);
        long mine = total / world + (request.rank() < total % world ? 1 : 0);
        var positions = new RowPositions(request.fragments());
        var plan = new Plan.Builder();
        for (long done = 0; done < share; ) {
            long count = Math.min(request.batchSize(), share - done);
            if (count < request.batchSize() && request.dropLast()) {
                break;
            }
            for (long i = done; i < done + count; i++) {
                long row = sequence.at((request.rank() + i * world) % total);
                positions.add(row, row + 1, plan);
            }
            plan.endStep(Math.clamp(mine - done, 0, count));
            done += count;
        }
        return plan.build();
    }
}
