package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** Which rows each row sampler gives, how likely they are, and how they reach the ranks. Seeds are fixed where chance matters. */
class RowSamplerTest {
    private static PlanRequest request(int rows, long seed, long epoch) {
        List<Fragment> fragments =
                List.of(new Fragment(4, rows / 3, 0), new Fragment(2, 0, 0), new Fragment(9, rows - rows / 3, 0));
        return new PlanRequest(fragments, 1, 0, seed, epoch, 4, false);
    }

    private static long[] rows(RowSampler sampler, PlanRequest request) {
        RowSequence sequence = sampler.rows(request);
        return LongStream.range(0, sequence.size()).map(sequence::at).toArray();
    }

    private static int[] counts(RowSampler sampler, int rows, int epochs) {
        int[] counts = new int[rows];
        for (int epoch = 0; epoch < epochs; epoch++) {
            for (long row : rows(sampler, request(rows, 3, epoch))) {
                counts[(int) row]++;
            }
        }
        return counts;
    }

    /** Each count is binomial: within four and a half standard deviations of its mean. */
    private static void assertDrawn(int[] counts, double... weights) {
        double all = DoubleStream.of(weights).sum();
        long draws = IntStream.of(counts).asLongStream().sum();
        for (int i = 0; i < counts.length; i++) {
            double share = weights[i] / all;
            double deviation = Math.sqrt(draws * share * (1 - share));
            assertThat((double) counts[i]).as("row %d", i).isCloseTo(draws * share, within(4.5 * deviation));
        }
    }

    // ---- sequences ----

    @Example
    void sequentialSamplerGivesTheDatasetsOrder() {
        assertThat(rows(new SequentialSampler(), request(7, 1, 1))).containsExactly(0, 1, 2, 3, 4, 5, 6);
    }

    @Property(tries = 200)
    void randomSamplerGivesAllRowsOnceBeforeAnyComesAgain(
            @ForAll @IntRange(min = 1, max = 60) int count,
            @ForAll @IntRange(min = 0, max = 200) int samples,
            @ForAll long seed) {
        long[] rows = rows(new RandomSampler(false, samples), request(count, seed, 2));
        assertThat(rows).hasSize(samples == 0 ? count : samples);
        for (int begin = 0; begin < rows.length; begin += count) {
            long[] round = Arrays.copyOfRange(rows, begin, Math.min(rows.length, begin + count));
            assertThat(round).doesNotHaveDuplicates();
            assertThat(LongStream.of(round)).allMatch(row -> row >= 0 && row < count);
        }
    }

    @Example
    void roundsOfARandomSamplerHaveOrdersOfTheirOwn() {
        long[] rows = rows(new RandomSampler(false, 300), request(100, 8, 0));
        assertThat(Arrays.copyOfRange(rows, 0, 100)).isNotEqualTo(Arrays.copyOfRange(rows, 100, 200));
        assertThat(Arrays.copyOfRange(rows, 100, 200)).isNotEqualTo(Arrays.copyOfRange(rows, 200, 300));
    }

    @Example
    void drawsWithReplacementAreUniformAndRepeat() {
        var sampler = new RandomSampler(true, 50);
        assertDrawn(
                counts(sampler, 20, 1000),
                DoubleStream.generate(() -> 1).limit(20).toArray());
        assertThat(LongStream.of(rows(sampler, request(20, 3, 0))).distinct().count())
                .isLessThan(20 + 1);
        // 50 draws of 1,000 rows: all different once in three times; of 100 epochs some must repeat and some must not.
        long repeating = IntStream.range(0, 100)
                .filter(epoch -> LongStream.of(rows(sampler, request(1000, 3, epoch)))
                                .distinct()
                                .count()
                        < 50)
                .count();
        assertThat(repeating).isBetween(50L, 90L);
    }

    @Example
    void subsetRandomSamplerGivesItsRowsInAnotherOrderEachEpoch() {
        var listed = new SubsetRandomSampler(8, 0, 3, 5, 11, 9, 3);
        assertThat(rows(listed, request(12, 1, 0))).containsExactlyInAnyOrder(0, 3, 3, 5, 8, 9, 11);
        assertThat(rows(listed, request(12, 1, 1))).isNotEqualTo(rows(listed, request(12, 1, 0)));
        // Fragments 4, 2 and 9 have 4, 0 and 8 rows, and the selection names 9 first.
        var selected = new SubsetRandomSampler(
                RowSelection.of(List.of(new RowRange(9, 6, 8), new RowRange(4, 1, 3), new RowRange(9, 0, 1))));
        assertThat(rows(selected, request(12, 1, 0))).containsExactlyInAnyOrder(1, 2, 4, 10, 11);
        assertThat(rows(selected, request(12, 1, 1))).isNotEqualTo(rows(selected, request(12, 1, 0)));
    }

    // ---- weights ----

    @Example
    void weightedDrawsComeByTheirWeightsAndNeverByAWeightOfZero() {
        double[] weights = {3, 0, 1, 0.5, 10, 0, 2, 0.01};
        int[] counts = counts(new WeightedRandomSampler(weights, 100, true), 8, 1000);
        assertDrawn(counts, weights);
        assertThat(counts[1] + counts[5]).isZero();
    }

    @Example
    void weightsOfAnySizeAreDrawnByTheirRatios() {
        assertDrawn(counts(new WeightedRandomSampler(1e308, 1e308, 0, 5e307), 4, 3000), 2, 2, 0, 1);
        assertDrawn(counts(new WeightedRandomSampler(3e-320, 0, 1e-320), 3, 3000), 3, 0, 1);
        assertThat(counts(new WeightedRandomSampler(Double.MIN_VALUE, 1e308), 2, 500))
                .containsExactly(0, 1000);
        assertThat(rows(new WeightedRandomSampler(7), request(1, 0, 0))).containsExactly(0);
    }

    @Property(tries = 200)
    void aliasTableHasTheWeightsShares(
            @ForAll @Size(min = 1, max = 40) List<@DoubleRange(min = 0, max = 9) Double> list) {
        double[] weights = list.stream().mapToDouble(Double::doubleValue).toArray();
        weights[weights.length / 2] = 5;
        var table = new AliasTable(weights);
        int grid = 2000;
        int[] counts = new int[weights.length];
        for (int place = 0; place < weights.length; place++) {
            for (int i = 0; i < grid; i++) {
                counts[table.draw(place, (i + 0.5) / grid)]++;
            }
        }
        double sum = DoubleStream.of(weights).sum();
        for (int i = 0; i < weights.length; i++) {
            double share = (double) counts[i] / grid / weights.length;
            // The grid is off by half a point at each place at most.
            assertThat(share).isCloseTo(weights[i] / sum, within(0.5 / grid + 1e-9));
            assertThat(counts[i] > 0 && weights[i] == 0).isFalse();
        }
    }

    @Property(tries = 200)
    void weightedRowsWithoutReplacementComeOnce(
            @ForAll @IntRange(min = 1, max = 80) int count,
            @ForAll @IntRange(min = 1, max = 100) int percent,
            @ForAll long seed) {
        double[] weights =
                IntStream.range(0, count).mapToDouble(i -> (i + 1) % 4).toArray();
        int positive =
                (int) DoubleStream.of(weights).filter(weight -> weight > 0).count();
        int samples = Math.max(1, positive * percent / 100);
        long[] rows = rows(new WeightedRandomSampler(weights, samples, false), request(count, seed, 0));
        assertThat(rows).hasSize(samples).doesNotHaveDuplicates();
        assertThat(LongStream.of(rows)).allMatch(row -> weights[row.intValue()] > 0);
    }

    @Example
    void weightedRowsWithoutReplacementComeAsIfDrawnOneByOne() {
        double[] weights = {1, 2, 0, 5};
        int[] pairs = new int[16];
        var sampler = new WeightedRandomSampler(weights, 2, false);
        for (int epoch = 0; epoch < 20_000; epoch++) {
            long[] rows = rows(sampler, request(4, 3, epoch));
            pairs[(int) (4 * rows[0] + rows[1])]++;
        }
        double[] shares = new double[16];
        for (int first = 0; first < 4; first++) {
            for (int second = 0; second < 4; second++) {
                shares[4 * first + second] =
                        first == second ? 0 : weights[first] / 8 * weights[second] / (8 - weights[first]);
            }
        }
        assertDrawn(pairs, shares);
    }

    // ---- deals ----

    private static List<Long> dealt(Sampler sampler, int rows, int world, int rank, int batch, boolean dropLast) {
        PlanRequest whole = request(rows, 1, 0);
        Plan plan = sampler.plan(new PlanRequest(whole.fragments(), world, rank, 1, 0, batch, dropLast));
        List<Long> dealt = new ArrayList<>();
        for (int step = 0; step < plan.steps(); step++) {
            for (RowRange range : plan.ranges(step)) {
                long start = range.fragmentId() == 4 ? 0 : rows / 3;
                LongStream.range(range.begin(), range.end()).forEach(row -> dealt.add(start + row));
            }
            dealt.add(-1L - plan.validRows(step));
        }
        return dealt;
    }

    /** A negative number ends a step: -1 less its valid rows. */
    @Example
    void distributedSamplerStridesAsPyTorchsDoes() {
        var padded = new DistributedSampler(new SequentialSampler(), Uneven.PAD);
        assertThat(dealt(padded, 10, 4, 0, 2, false)).containsExactly(0L, 4L, -3L, 8L, -2L);
        assertThat(dealt(padded, 10, 4, 3, 2, false)).containsExactly(3L, 7L, -3L, 1L, -1L);
        assertThat(dealt(padded, 10, 4, 3, 2, true)).containsExactly(3L, 7L, -3L);
        assertThat(dealt(padded, 2, 5, 4, 2, false)).containsExactly(0L, -1L);
        var cut = new DistributedSampler(new SequentialSampler(), Uneven.DROP);
        assertThat(dealt(cut, 10, 4, 3, 2, false)).containsExactly(3L, 7L, -3L);
        assertThat(dealt(new SequentialSampler(), 10, 4, 3, 2, false))
                .as("a row sampler as it is")
                .isEqualTo(dealt(padded, 10, 4, 3, 2, false));
    }

    @Example
    void batchSamplerDealsWholeBatches() {
        var padded = new BatchSampler(new SequentialSampler(), Uneven.PAD);
        assertThat(dealt(padded, 10, 2, 0, 3, false)).containsExactly(0L, 1L, 2L, -4L, 6L, 7L, 8L, -4L);
        assertThat(dealt(padded, 10, 2, 1, 3, false)).containsExactly(3L, 4L, 5L, -4L, 9L, 0L, 1L, -2L);
        assertThat(dealt(padded, 10, 3, 2, 3, false)).containsExactly(6L, 7L, 8L, -4L, 1L, -1L);
        assertThat(dealt(padded, 10, 3, 1, 3, false)).containsExactly(3L, 4L, 5L, -4L, 0L, -1L);
        var cut = new BatchSampler(new SequentialSampler(), Uneven.DROP);
        assertThat(dealt(cut, 10, 2, 0, 3, false)).containsExactly(0L, 1L, 2L, -4L, 6L, -2L);
        assertThat(dealt(cut, 10, 2, 1, 3, false)).containsExactly(3L, 4L, 5L, -4L, 9L, -2L);
        assertThat(dealt(cut, 10, 3, 1, 3, false)).containsExactly(3L, 4L, 5L, -4L);
    }

    @Example
    void planOfAMillionRandomRowsIsCompact() {
        int rows = 1_300_000;
        List<Fragment> fragments = IntStream.range(0, 1000)
                .mapToObj(i -> new Fragment(i, rows / 1000, 0))
                .toList();
        long before = usedHeap();
        Plan plan = new DistributedSampler().plan(new PlanRequest(fragments, 1, 0, 1, 0, 256, false));
        assertThat(plan.totalValidRows()).isEqualTo(rows);
        assertThat(usedHeap() - before).isLessThan(40_000_000);
        Reference.reachabilityFence(plan);
    }

    private static long usedHeap() {
        System.gc();
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    // ---- errors ----

    private static void assertRefused(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call).isInstanceOf(InvalidArgumentException.class).hasMessageContainingAll(parts);
    }

    @Example
    void whatCannotBeSampledIsRefusedNamingTheIndex() {
        assertRefused(() -> new RandomSampler(true, -3), "-3 rows");
        assertRefused(() -> new WeightedRandomSampler(1, Double.NaN), "NaN", "index 1");
        assertRefused(() -> new WeightedRandomSampler(1, 2, -0.5), "-0.5", "index 2");
        assertRefused(() -> new WeightedRandomSampler(Double.POSITIVE_INFINITY), "Infinity", "index 0");
        assertRefused(() -> new WeightedRandomSampler(0, 0, 0), "none of 3");
        assertRefused(() -> new WeightedRandomSampler(new double[0], 1, true), "none of 0");
        assertRefused(() -> new WeightedRandomSampler(new double[] {1}, 0, true), "0 draws");
        assertRefused(() -> new WeightedRandomSampler(new double[] {1, 0, 1}, 3, false), "3 rows", "2 with a positive");
        assertRefused(() -> new WeightedRandomSampler(1, 1).rows(request(3, 0, 0)), "2 weights", "3 rows");
        assertRefused(() -> new SubsetRandomSampler(0, -4), "row -4", "index 1");
        assertRefused(() -> new SubsetRandomSampler(0, 7, 2).plan(request(7, 0, 0)), "row 7", "index 1", "7 rows");
    }

    @Example
    void selectionThatTheDatasetDoesNotHaveIsRefused() {
        RowSelection beyond = RowSelection.of(List.of(new RowRange(9, 5, 9)));
        RowSelection elsewhere = RowSelection.of(List.of(new RowRange(77, 0, 1)));
        assertRefused(() -> new SubsetRandomSampler(beyond).plan(request(12, 0, 0)), "row 8", "fragment 9", "8 rows");
        assertRefused(
                () -> new SubsetSampler(beyond, new RandomSampler()).plan(request(12, 0, 0)), "row 8", "fragment 9");
        assertRefused(() -> new SubsetSampler(elsewhere, new FullScanSampler()).plan(request(12, 0, 0)), "fragment 77");
    }

    @Example
    void samplerThatNamesARowThatIsNotThereIsRefused() {
        RowSampler wrong = request -> new RowSequence(1, i -> 12);
        assertRefused(() -> wrong.plan(request(12, 0, 0)), "row 12", "12 rows");
    }

    @Example
    void subsetOfASubsetCountsTheRowsOfTheFirst() {
        RowSelection even = RowSelection.of(LongStream.range(0, 4)
                .mapToObj(i -> new RowRange(9, 2 * i, 2 * i + 1))
                .toList());
        RowSelection last = RowSelection.of(List.of(new RowRange(9, 2, 4)));
        Plan plan = new SubsetSampler(even, new SubsetSampler(last, new FullScanSampler())).plan(request(12, 0, 0));
        assertThat(plan.allRanges()).containsExactly(List.of(new RowRange(9, 4, 5), new RowRange(9, 6, 7)));
    }
}
