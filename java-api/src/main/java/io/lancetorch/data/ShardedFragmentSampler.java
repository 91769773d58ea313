package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/**
 * Deals whole fragments: rank r reads the fragments at positions r, r + worldSize, ... of the epoch's order, one after the
 * other. The fewest files are opened this way; where fragments differ in size, so do the ranks' shares, and {@code uneven}
 * says what becomes of it. PyTorch has none; Lance's Python API has one by this name, which leaves ranks uneven.
 *
 * <p>The order of an epoch's samples is that of the ranks' rows, each rank's next one in turn, so it is another for another
 * world: a run is resumed by as many ranks as it had before.
 *
 * @param shuffle deal the fragments in another order each epoch
 * @param uneven where ranks would get different numbers of rows: repeat a rank's own rows, cut all down to the smallest
 *     share, give each its own, or refuse
 */
public record ShardedFragmentSampler(boolean shuffle, Uneven uneven) implements Sampler {
    /** Shuffled and padded. */
    public ShardedFragmentSampler() {
        this(true, Uneven.PAD);
    }

    @Override
    public Plan plan(PlanRequest request) {
        int world = request.worldSize();
        long most = 0;
        long least = Long.MAX_VALUE;
        int mostRank = 0;
        int leastRank = 0;
        RowCursor mine = null;
        for (int rank = 0; rank < world; rank++) {
            var cursor = new RowCursor(request, shuffle, rank, world);
            if (cursor.total() > most) {
                most = cursor.total();
                mostRank = rank;
            }
            if (cursor.total() < least) {
                least = cursor.total();
                leastRank = rank;
            }
            if (rank == request.rank()) {
                mine = cursor;
            }
        }
        if (uneven == Uneven.REFUSE && most != least) {
            throw new InvalidArgumentException("fragments deal " + most + " rows to rank " + mostRank + " and " + least
                    + " to rank " + leastRank + ": pad, drop, or shard by batches");
        }
        long share = uneven == Uneven.DROP ? least : most;
        var order = new EpochOrder(share * world, request.consumed(), request.samplesPerStep(), false, true);
        if (request.consumed() % world != 0) {
            throw new InvalidArgumentException(request.consumed() + " samples consumed do not come from " + world
                    + " ranks of one share each: resume ShardedFragmentSampler with the world size of the run before");
        }
        return mine.deal(request, order, order.begin() / world, share, uneven == Uneven.JOIN);
    }
}
