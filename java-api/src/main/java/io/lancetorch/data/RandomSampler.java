package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.random.Permutation;
import io.lancetorch.random.SplitMix64;
import java.util.function.LongUnaryOperator;

/**
 * Rows in another random order each epoch: PyTorch's {@code RandomSampler}, but that the order depends on the request's seed and
 * epoch alone, and takes no memory.
 *
 * @param replacement draw each row from all of them, so that one may come again while others have not come yet; else all rows
 *     come once before any comes again
 * @param numSamples rows of an epoch; 0: as many as the dataset has
 * @param clumpSize shuffle clumps of so many rows that lie together, which are read faster than single ones; the rows that fill
 *     no clump come last. 1 with {@code replacement}
 */
public record RandomSampler(boolean replacement, long numSamples, int clumpSize) implements RowSampler {
    public RandomSampler {
        if (numSamples < 0) {
            throw new InvalidArgumentException("an epoch of " + numSamples + " rows");
        }
        if (clumpSize < 1 || clumpSize > 1 && replacement) {
            throw new InvalidArgumentException("clumps of " + clumpSize + " rows"
                    + (replacement ? ", drawn with replacement: rows are drawn one by one" : ""));
        }
    }

    /** Rows one by one. */
    public RandomSampler(boolean replacement, long numSamples) {
        this(replacement, numSamples, 1);
    }

    /** Every row once an epoch. */
    public RandomSampler() {
        this(false, 0);
    }

    /** Every row once an epoch, in clumps of rows that lie together. */
    public static RandomSampler inClumps(int rows) {
        return new RandomSampler(false, 0, rows);
    }

    @Override
    public RowSequence rows(PlanRequest request) {
        long total = request.totalRows();
        if (total == 0) {
            return new RowSequence(0, LongUnaryOperator.identity());
        }
        long size = numSamples == 0 ? total : numSamples;
        if (replacement) {
            long start = SplitMix64.start(request.seed(), request.epoch());
            return new RowSequence(size, i -> SplitMix64.below(total, SplitMix64.at(start, i)));
        }
        LongUnaryOperator first = shuffled(total, request.seed(), request.epoch());
        if (size <= total) {
            return new RowSequence(size, first);
        }
        return new RowSequence(size, i -> {
            long round = i / total;
            return round == 0
                    ? first.applyAsLong(i)
                    : shuffled(total, SplitMix64.start(request.seed(), round), request.epoch())
                            .applyAsLong(i % total);
        });
    }

    private LongUnaryOperator shuffled(long total, long seed, long epoch) {
        long clumps = total / clumpSize;
        var order = new Permutation(clumps, seed, epoch);
        return clumpSize == 1
                ? order
                : i -> i / clumpSize < clumps ? order.applyAsLong(i / clumpSize) * clumpSize + i % clumpSize : i;
    }
}
