package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.random.SplitMix64;
import java.util.Arrays;

/**
 * Rows drawn by weights, such as one over the number of rows of a class: PyTorch's {@code WeightedRandomSampler}, but that
 * what is drawn depends on the request's seed and epoch alone.
 *
 * <p>With replacement, each rank computes its own draws alone (a table of 12 bytes for a weight is made once, with the
 * sampler). Without, the rows are those that drawing one after the other would give, by the keys of Efraimidis and Spirakis
 * (Weighted random sampling with a reservoir, 2006); each plan sorts the keys of all rows.
 */
public final class WeightedRandomSampler implements RowSampler {
    private final int count;
    private final long numSamples;
    private final AliasTable table;
    private final double[] logarithms;

    /**
     * @param weights of all rows by their positions in the dataset, finite, not negative, in any unit; a row of weight 0 never
     *     comes
     * @param numSamples rows of an epoch, at least 1
     * @param replacement let a row come several times; else numSamples is at most the number of positive weights
     */
    public WeightedRandomSampler(double[] weights, long numSamples, boolean replacement) {
        int positive = 0;
        for (int i = 0; i < weights.length; i++) {
            if (!(weights[i] >= 0 && weights[i] < Double.POSITIVE_INFINITY)) {
                throw new InvalidArgumentException(
                        "weight " + weights[i] + " at index " + i + ": weights are finite and not negative");
            }
            positive += weights[i] > 0 ? 1 : 0;
        }
        if (positive == 0) {
            throw new InvalidArgumentException("none of " + weights.length + " weights is positive");
        }
        if (numSamples < 1) {
            throw new InvalidArgumentException("an epoch of " + numSamples + " draws");
        }
        if (!replacement && numSamples > positive) {
            throw new InvalidArgumentException("an epoch of " + numSamples + " rows without replacement, of " + positive
                    + " with a positive weight");
        }
        count = weights.length;
        this.numSamples = numSamples;
        table = replacement ? new AliasTable(weights) : null;
        logarithms =
                replacement ? null : Arrays.stream(weights).map(StrictMath::log).toArray();
    }

    /** With replacement, as many draws as there are weights. */
    public WeightedRandomSampler(double... weights) {
        this(weights, weights.length, true);
    }

    /**
     * @throws InvalidArgumentException where there are not as many weights as rows
     */
    @Override
    public RowSequence rows(PlanRequest request) {
        if (request.totalRows() != count) {
            throw new InvalidArgumentException(count + " weights for a dataset of " + request.totalRows() + " rows");
        }
        long start = SplitMix64.start(request.seed(), request.epoch());
        if (table == null) {
            int[] order = withoutReplacement(start);
            return new RowSequence(order.length, i -> order[(int) i]);
        }
        return new RowSequence(numSamples, i -> {
            int place = (int) SplitMix64.below(count, SplitMix64.at(start, 2 * i));
            return table.draw(place, SplitMix64.fraction(SplitMix64.at(start, 2 * i + 1)));
        });
    }

    private int[] withoutReplacement(long start) {
        // The logarithm of an exponential variate over the weight: smallest first is the order of u^(1/weight), largest
        // first.
        double[] keys = new double[count];
        for (int i = 0; i < count; i++) {
            double exponential = -StrictMath.log(SplitMix64.fraction(SplitMix64.at(start, i)));
            keys[i] = StrictMath.log(exponential) - logarithms[i];
        }
        double[] sorted = keys.clone();
        Arrays.sort(sorted);
        int[] order = new int[(int) numSamples];
        Arrays.fill(order, -1);
        for (int i = 0; i < count; i++) {
            int place = Arrays.binarySearch(sorted, 0, order.length, keys[i]);
            if (place < 0) {
                continue;
            }
            while (place > 0 && sorted[place - 1] == keys[i]) {
                place--;
            }
            while (place < order.length && order[place] >= 0) {
                place++;
            }
            if (place < order.length) {
                order[place] = i;
            }
        }
        return order;
    }
}
