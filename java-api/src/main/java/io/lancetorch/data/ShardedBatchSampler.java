package io.lancetorch.data;

import java.util.function.LongUnaryOperator;

/**
 * Deals batches of rows that lie together: the dataset's rows, in order, are cut into batches of {@code batchSize}, and in
 * each step every rank takes the next one of the epoch's order. Shares differ by one batch at most, whatever the fragments'
 * sizes. The rows that do not fill a whole batch come in the last step. PyTorch has none; Lance's Python API has one by this
 * name, which does not make the ranks even. A run that is resumed deals what is left of the epoch's order, in any world, by the
 * same batch size where it is shuffled.
 *
 * @param shuffle take the batches in another order each epoch
 * @param uneven where the last step does not give every rank the same number of rows: repeat rows from the epoch's
 *     beginning, cut it down to the smallest share, give each what is left, or refuse
 */
public record ShardedBatchSampler(boolean shuffle, Uneven uneven) implements Sampler {
    /** Shuffled and padded. */
    public ShardedBatchSampler() {
        this(true, Uneven.PAD);
    }

    @Override
    public Plan plan(PlanRequest request) {
        var positions = new RowPositions(request.fragments());
        int size = request.batchSize();
        long full = positions.total() / size;
        LongUnaryOperator order = request.order(full, shuffle);
        var place = new EpochOrder(positions.total(), request.consumed(), request.samplesPerStep(), shuffle, false);
        return BatchDeal.plan(request, place, uneven, (begin, end, plan) -> {
            for (long at = begin; at < end; ) {
                long batch = at / size;
                long stop = Math.min(end, (batch + 1) * size);
                // The rows that fill no batch stay at the end.
                long moved = (batch < full ? order.applyAsLong(batch) - batch : 0) * size;
                positions.add(at + moved, stop + moved, plan);
                at = stop;
            }
        });
    }
}
