package io.lancetorch.random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.LongStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;

/** Seeds are fixed, so nothing here is up to chance. */
class PermutationTest {
    private static long[] of(int size, long seed, long epoch) {
        var order = new Permutation(size, seed, epoch);
        return LongStream.range(0, size).map(order).toArray();
    }

    @Property(tries = 300)
    void everyNumberComesOnce(@ForAll @IntRange(min = 0, max = 5000) int size, @ForAll long seed, @ForAll long epoch) {
        long[] order = of(size, seed, epoch);
        assertThat(order).isEqualTo(of(size, seed, epoch));
        Arrays.sort(order);
        assertThat(order).containsExactly(LongStream.range(0, size).toArray());
    }

    @Property(tries = 300)
    void hugeOrdersStayInBoundsAndRepeatNothing(
            @ForAll @LongRange(min = 1L << 40, max = 1L << 62) long size, @ForAll long seed) {
        var order = new Permutation(size, seed, 0);
        Set<Long> seen = new HashSet<>();
        for (long i = 0; i < 200; i++) {
            seen.add(order.applyAsLong(i));
            seen.add(order.applyAsLong(size - 1 - i));
        }
        assertThat(seen).hasSize(400).allMatch(value -> value >= 0 && value < size);
    }

    private static double chiSquare(int[] counts, double expected) {
        double sum = 0;
        for (int count : counts) {
            sum += (count - expected) * (count - expected) / expected;
        }
        return sum;
    }

    /** How far a chi-square sum of so many degrees of freedom is off what chance gives, in standard deviations. */
    private static double deviation(double chiSquare, int freedom) {
        // Wilson and Hilferty, 1931: the cube root of such a sum by its freedom is nearly normal.
        double spread = 2.0 / (9 * freedom);
        return (Math.cbrt(chiSquare / freedom) - (1 - spread)) / Math.sqrt(spread);
    }

    @Example
    void smallOrdersAreAllAsLikelyAsEachOther() {
        for (int size : new int[] {2, 3, 4, 5, 6}) {
            int orders = (int) LongStream.rangeClosed(1, size).reduce(1, (a, b) -> a * b);
            int[] counts = new int[orders];
            int epochs = 100 * orders + 2000;
            for (int epoch = 0; epoch < epochs; epoch++) {
                counts[number(of(size, 11, epoch))]++;
            }
            double expected = (double) epochs / orders;
            assertThat(deviation(chiSquare(counts, expected), orders - 1))
                    .as("orders of %d", size)
                    .isBetween(-4.0, 4.0);
        }
    }

    /** The number of an order in the list of all of its size. */
    private static int number(long[] order) {
        int number = 0;
        for (int i = 0; i < order.length; i++) {
            int smaller = 0;
            for (int j = i + 1; j < order.length; j++) {
                smaller += order[j] < order[i] ? 1 : 0;
            }
            number = number * (order.length - i) + smaller;
        }
        return number;
    }

    @Example
    void everyNumberComesAtEveryPlaceAboutAsOften() {
        for (int size : new int[] {7, 8, 9, 16, 17, 100, 257}) {
            int epochs = 40 * size;
            int[] counts = new int[size * size];
            for (int epoch = 0; epoch < epochs; epoch++) {
                long[] order = of(size, 3, epoch);
                for (int i = 0; i < size; i++) {
                    counts[i * size + (int) order[i]]++;
                }
            }
            // Rows and columns have fixed sums, so (n - 1)^2 counts are free, and their sum is that of all by (n - 1) /
            // n.
            double sum = chiSquare(counts, 40) * (size - 1) / size;
            assertThat(deviation(sum, (size - 1) * (size - 1)))
                    .as("places of %d", size)
                    .isBetween(-4.0, 4.0);
        }
    }

    @Example
    void whatComesAtOnePlaceSaysNothingOfTheNext() {
        for (int size : new int[] {5, 12, 33}) {
            int pairs = size * (size - 1);
            for (int distance : new int[] {1, 2, size - 1}) {
                int[] counts = new int[pairs];
                for (int epoch = 0; epoch < 50 * pairs; epoch++) {
                    var order = new Permutation(size, 5, epoch);
                    int first = (int) order.applyAsLong(0);
                    int second = (int) order.applyAsLong(distance);
                    counts[first * (size - 1) + (second > first ? second - 1 : second)]++;
                }
                assertThat(deviation(chiSquare(counts, 50), pairs - 1))
                        .as("pairs of %d, %d places apart", size, distance)
                        .isBetween(-4.0, 4.0);
            }
        }
    }

    @Example
    void neighboursOfALargeOrderAreNotCorrelated() {
        for (int size : new int[] {1 << 16, 100_000, 1_281_167}) {
            long[] order = of(size, 1, 0);
            double mean = (size - 1) / 2.0;
            double variance = ((double) size * size - 1) / 12;
            for (int lag : new int[] {1, 2, 256, size / 2}) {
                double sum = 0;
                for (int i = 0; i + lag < size; i++) {
                    sum += (order[i] - mean) * (order[i + lag] - mean);
                }
                double correlation = sum / (size - lag) / variance;
                assertThat(correlation * Math.sqrt(size - lag))
                        .as("lag %d of %d", lag, size)
                        .isBetween(-4.0, 4.0);
            }
        }
    }

    @Example
    void epochsAndSeedsGiveOrdersThatHaveNothingInCommon() {
        int size = 10_000;
        long[] first = of(size, 7, 0);
        for (long[] other : new long[][] {of(size, 7, 1), of(size, 8, 0), of(size, 0, 7), of(size, -7, 0)}) {
            long same = LongStream.range(0, size)
                    .filter(i -> first[(int) i] == other[(int) i])
                    .count();
            // Two orders agree in one place on average, whatever their size.
            assertThat(same).isLessThan(8);
        }
    }

    /** The order is part of what a checkpoint relies on: it must not change from one release to the next. */
    @Example
    void orderOfASeedIsFixedForEver() {
        assertThat(of(10, 42, 3)).containsExactly(7, 6, 0, 3, 5, 8, 1, 9, 2, 4);
        assertThat(new Permutation(1L << 62, 42, 3).applyAsLong(1)).isEqualTo(2538553031110591244L);
    }

    @Example
    void whatIsNoOrderIsRefused() {
        assertThatThrownBy(() -> new Permutation(-1, 0, 0)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> new Permutation((1L << 62) + 1, 0, 0))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("2^62");
        assertThatThrownBy(() -> new Permutation(4, 0, 0).applyAsLong(4)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThat(of(1, 5, 5)).containsExactly(0);
    }
}
