package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.random.Permutation;
import java.util.List;
import java.util.function.LongUnaryOperator;

/**
 * All that a {@link Sampler} may look at.
 *
 * @param fragments the dataset's, in order; some may be without rows
 * @param worldSize the number of ranks, at least 1
 * @param rank of the plan that is asked for, 0 to worldSize - 1
 * @param seed of the order of rows, the same on all ranks
 * @param epoch another order for each, by the same seed
 * @param batchSize rows of a step on one rank, at least 1
 * @param dropLast leave out a last step of fewer rows than that
 * @param consumed how many samples of the epoch's order, from its beginning, all ranks have consumed already, in any world:
 *     the plan deals those that are left. A sampler that does not know of it declares no {@link EpochOrder}
 */
public record PlanRequest(
        List<Fragment> fragments,
        int worldSize,
        int rank,
        long seed,
        long epoch,
        int batchSize,
        boolean dropLast,
        long consumed) {
    public PlanRequest {
        fragments = List.copyOf(fragments);
        requireRank(rank, worldSize);
        if (batchSize < 1) {
            throw new InvalidArgumentException("a batch of " + batchSize + " rows");
        }
        if (consumed < 0) {
            throw new InvalidArgumentException(consumed + " samples consumed");
        }
    }

    static void requireRank(int rank, int worldSize) {
        if (worldSize < 1) {
            throw new InvalidArgumentException("a world of " + worldSize + " ranks");
        }
        if (rank < 0 || rank >= worldSize) {
            throw new InvalidArgumentException(
                    "rank " + rank + " of a world of " + worldSize + ": ranks are 0 to " + (worldSize - 1));
        }
    }

    /** For an epoch from its beginning. */
    public PlanRequest(
            List<Fragment> fragments, int worldSize, int rank, long seed, long epoch, int batchSize, boolean dropLast) {
        this(fragments, worldSize, rank, seed, epoch, batchSize, dropLast, 0);
    }

    /** The same request for another rank. */
    public PlanRequest withRank(int other) {
        return new PlanRequest(fragments, worldSize, other, seed, epoch, batchSize, dropLast, consumed);
    }

    /** The same request for other fragments. */
    public PlanRequest withFragments(List<Fragment> others) {
        return new PlanRequest(others, worldSize, rank, seed, epoch, batchSize, dropLast, consumed);
    }

    /** The same request, going on after so many samples. */
    public PlanRequest withConsumed(long samples) {
        return new PlanRequest(fragments, worldSize, rank, seed, epoch, batchSize, dropLast, samples);
    }

    /** A batch of each rank. */
    long samplesPerStep() {
        return (long) worldSize * batchSize;
    }

    /** The order in which the epoch takes so many things: shuffled, or as they are. */
    LongUnaryOperator order(long count, boolean shuffle) {
        return shuffle ? new Permutation(count, seed, epoch) : LongUnaryOperator.identity();
    }

    /** The rows of all fragments. */
    public long totalRows() {
        long rows = 0;
        for (Fragment fragment : fragments) {
            rows += fragment.rows();
        }
        return rows;
    }
}
