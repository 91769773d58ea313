package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowRange;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;

/** What holds for every sampler, whatever the fragments, the world and the batch. */
class SamplerTest {
    private static final int TRIES = 400;

    /** Fragments of none, one, a few or many rows, in any mixture, with ids that are no positions. */
    @Provide
    Arbitrary<List<Fragment>> fragments() {
        Arbitrary<Long> rows = Arbitraries.frequencyOf(
                net.jqwik.api.Tuple.of(2, Arbitraries.just(0L)),
                net.jqwik.api.Tuple.of(2, Arbitraries.just(1L)),
                net.jqwik.api.Tuple.of(5, Arbitraries.longs().between(2, 40)),
                net.jqwik.api.Tuple.of(1, Arbitraries.longs().between(200, 1000)));
        return rows.list().ofMinSize(0).ofMaxSize(24).map(sizes -> IntStream.range(0, sizes.size())
                .mapToObj(i -> new Fragment(3L * i + 7, sizes.get(i), i % 2))
                .toList());
    }

    @Provide
    Arbitrary<Sampler> samplers() {
        List<Sampler> all = new ArrayList<>();
        for (boolean shuffle : new boolean[] {false, true}) {
            all.add(new FullScanSampler(shuffle));
            for (Uneven uneven : Uneven.values()) {
                all.add(new ShardedFragmentSampler(shuffle, uneven));
                all.add(new ShardedBatchSampler(shuffle, uneven));
            }
        }
        return Arbitraries.of(all);
    }

    private static Uneven unevenOf(Sampler sampler) {
        return switch (sampler) {
            case ShardedFragmentSampler sharded -> sharded.uneven();
            case ShardedBatchSampler sharded -> sharded.uneven();
            default -> null;
        };
    }

    /** The plan of each rank, or null where the sampler refuses, which all ranks must do alike. */
    private static List<Plan> plans(Sampler sampler, PlanRequest request) {
        List<Plan> plans = new ArrayList<>();
        int refusals = 0;
        for (int rank = 0; rank < request.worldSize(); rank++) {
            try {
                plans.add(sampler.plan(request.withRank(rank)));
            } catch (InvalidArgumentException e) {
                assertThat(unevenOf(sampler)).as(e.getMessage()).isEqualTo(Uneven.REFUSE);
                refusals++;
            }
        }
        assertThat(refusals).as("ranks that refuse").isIn(0, request.worldSize());
        return refusals > 0 ? null : plans;
    }

    /** How often each row of each fragment comes: among the first `valid` rows of its steps, or among all. */
    private static Map<Long, int[]> counts(List<Fragment> fragments, List<Plan> plans, boolean validOnly) {
        Map<Long, int[]> counts = new HashMap<>();
        fragments.forEach(fragment -> counts.put(fragment.id(), new int[(int) fragment.rows()]));
        for (Plan plan : plans) {
            for (int step = 0; step < plan.steps(); step++) {
                int left = validOnly ? plan.validRows(step) : plan.rows(step);
                for (RowRange range : plan.ranges(step)) {
                    for (long row = range.begin(); row < range.end() && left > 0; row++, left--) {
                        counts.get(range.fragmentId())[(int) row]++;
                    }
                }
                assertThat(left).as("rows of step %d that no range has", step).isZero();
            }
        }
        return counts;
    }

    private static IntStream all(Map<Long, int[]> counts) {
        return counts.values().stream().flatMapToInt(IntStream::of);
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void allRanksHaveTheSameStepsAndRows(
            @ForAll("samplers") Sampler sampler,
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll boolean dropLast) {
        List<Plan> plans = plans(sampler, new PlanRequest(fragments, world, 0, seed, 0, batch, dropLast));
        if (plans == null) {
            return;
        }
        Plan first = plans.getFirst();
        for (Plan plan : plans) {
            assertThat(plan.steps()).isEqualTo(first.steps());
            for (int step = 0; step < plan.steps(); step++) {
                assertThat(plan.rows(step)).isEqualTo(first.rows(step));
                assertThat(plan.validRows(step)).isBetween(0, plan.rows(step));
                assertThat(plan.ranges(step).stream().mapToLong(RowRange::rows).sum())
                        .isEqualTo(plan.rows(step));
                boolean last = step == plan.steps() - 1;
                if (last && !dropLast) {
                    assertThat(plan.rows(step)).isBetween(1, batch);
                } else {
                    assertThat(plan.rows(step)).isEqualTo(batch);
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void rangesLieWithinTheirFragments(
            @ForAll("samplers") Sampler sampler,
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        List<Plan> plans = plans(sampler, new PlanRequest(fragments, world, 0, seed, 3, batch, false));
        if (plans == null) {
            return;
        }
        Map<Long, Long> rows = new HashMap<>();
        fragments.forEach(fragment -> rows.put(fragment.id(), fragment.rows()));
        for (Plan plan : plans) {
            for (List<RowRange> step : plan.allRanges()) {
                for (RowRange range : step) {
                    assertThat(rows).containsKey(range.fragmentId());
                    assertThat(range.begin()).isNotNegative().isLessThan(range.end());
                    assertThat(range.end()).isLessThanOrEqualTo(rows.get(range.fragmentId()));
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void paddingReadsEveryRowAndMarksEachOnceAsValid(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll boolean byBatch,
            @ForAll boolean shuffle,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll @IntRange(min = 0, max = 3) int epoch) {
        Sampler sampler = byBatch
                ? new ShardedBatchSampler(shuffle, Uneven.PAD)
                : new ShardedFragmentSampler(shuffle, Uneven.PAD);
        List<Plan> plans = plans(sampler, new PlanRequest(fragments, world, 0, seed, epoch, batch, false));
        assertThat(all(counts(fragments, plans, true))).allMatch(count -> count == 1);
        assertThat(all(counts(fragments, plans, false))).allMatch(count -> count >= 1);
        assertThat(plans.stream().mapToLong(Plan::totalValidRows).sum())
                .isEqualTo(fragments.stream().mapToLong(Fragment::rows).sum());
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void droppingReadsNoRowTwiceAndLittleIsLeftOut(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll boolean byBatch,
            @ForAll boolean shuffle,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll boolean dropLast) {
        Sampler sampler = byBatch
                ? new ShardedBatchSampler(shuffle, Uneven.DROP)
                : new ShardedFragmentSampler(shuffle, Uneven.DROP);
        List<Plan> plans = plans(sampler, new PlanRequest(fragments, world, 0, seed, 0, batch, dropLast));
        assertThat(all(counts(fragments, plans, false))).allMatch(count -> count <= 1);
        for (Plan plan : plans) {
            for (int step = 0; step < plan.steps(); step++) {
                assertThat(plan.validRows(step)).isEqualTo(plan.rows(step));
            }
        }
        if (byBatch) {
            long left = fragments.stream().mapToLong(Fragment::rows).sum()
                    - plans.stream().mapToLong(Plan::totalValidRows).sum();
            assertThat(left).isBetween(0L, (long) world * batch - 1);
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void refusingThrowsExactlyWherePaddingWouldRepeat(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll boolean byBatch,
            @ForAll boolean shuffle,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        PlanRequest request = new PlanRequest(fragments, world, 0, seed, 0, batch, false);
        Sampler padding = byBatch
                ? new ShardedBatchSampler(shuffle, Uneven.PAD)
                : new ShardedFragmentSampler(shuffle, Uneven.PAD);
        Sampler refusing = byBatch
                ? new ShardedBatchSampler(shuffle, Uneven.REFUSE)
                : new ShardedFragmentSampler(shuffle, Uneven.REFUSE);
        List<Plan> padded = plans(padding, request);
        boolean repeats = all(counts(fragments, padded, false)).anyMatch(count -> count > 1);
        List<Plan> strict = plans(refusing, request);
        assertThat(strict == null).isEqualTo(repeats);
        if (strict != null) {
            for (int rank = 0; rank < world; rank++) {
                assertThat(strict.get(rank).allRanges())
                        .isEqualTo(padded.get(rank).allRanges());
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void fullScanGivesEveryRankEveryRowOnce(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll boolean shuffle,
            @ForAll @IntRange(min = 1, max = 8) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        PlanRequest request = new PlanRequest(fragments, world, 0, seed, 1, batch, false);
        for (Plan plan : plans(new FullScanSampler(shuffle), request)) {
            assertThat(all(counts(fragments, List.of(plan), false))).allMatch(count -> count == 1);
            assertThat(plan.totalValidRows()).isEqualTo(request.totalRows());
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void samplerIsAPureFunction(
            @ForAll("samplers") Sampler sampler,
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll long epoch) {
        PlanRequest request = new PlanRequest(fragments, world, world - 1, seed, epoch, batch, false);
        Plan first;
        try {
            first = sampler.plan(request);
        } catch (InvalidArgumentException e) {
            assertThat(catchThrowable(() -> sampler.plan(request))).hasMessage(e.getMessage());
            return;
        }
        catchThrowable(() -> sampler.plan(new PlanRequest(fragments, 1, 0, ~seed, epoch + 1, 3, true)));
        Plan second = sampler.plan(new PlanRequest(fragments, world, world - 1, seed, epoch, batch, false));
        assertThat(second.allRanges()).isEqualTo(first.allRanges());
        for (int step = 0; step < first.steps(); step++) {
            assertThat(second.validRows(step)).isEqualTo(first.validRows(step));
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void droppingTheLastStepLeavesTheOthersAsTheyAre(
            @ForAll("samplers") Sampler sampler,
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        List<Plan> whole = plans(sampler, new PlanRequest(fragments, world, 0, seed, 0, batch, false));
        if (whole == null) {
            return;
        }
        List<Plan> dropped = plans(sampler, new PlanRequest(fragments, world, 0, seed, 0, batch, true));
        for (int rank = 0; rank < world; rank++) {
            List<List<RowRange>> all = whole.get(rank).allRanges();
            int steps = whole.get(rank).steps();
            int full = steps > 0 && whole.get(rank).rows(steps - 1) < batch ? steps - 1 : steps;
            assertThat(dropped.get(rank).allRanges()).isEqualTo(all.subList(0, full));
        }
    }

    // ---- orders ----

    private static final List<Fragment> TWELVE =
            IntStream.range(0, 12).mapToObj(i -> new Fragment(i, 40, 0)).toList();

    private static List<List<RowRange>> order(Sampler sampler, long seed, long epoch) {
        return sampler.plan(new PlanRequest(TWELVE, 2, 0, seed, epoch, 20, false))
                .allRanges();
    }

    @Example
    void shuffledOrderDependsOnSeedAndOnEpoch() {
        for (Sampler sampler :
                List.of(new FullScanSampler(true), new ShardedFragmentSampler(), new ShardedBatchSampler())) {
            var first = order(sampler, 1, 0);
            assertThat(order(sampler, 1, 1)).as("another epoch").isNotEqualTo(first);
            assertThat(order(sampler, 2, 0)).as("another seed").isNotEqualTo(first);
            assertThat(order(sampler, 0, 1))
                    .as("seed and epoch are not added up")
                    .isNotEqualTo(order(sampler, 1, 0));
        }
    }

    @Example
    void orderWithoutShuffleIsTheDatasetsInEveryEpoch() {
        for (Sampler sampler : List.of(
                new FullScanSampler(),
                new ShardedFragmentSampler(false, Uneven.PAD),
                new ShardedBatchSampler(false, Uneven.PAD))) {
            assertThat(order(sampler, 1, 0)).isEqualTo(order(sampler, 9, 7));
            assertThat(order(sampler, 1, 0).getFirst()).containsExactly(new RowRange(0, 0, 20));
        }
    }

    @Example
    void epochsGoThroughManyOrders() {
        var orders = new java.util.HashSet<List<List<RowRange>>>();
        for (long epoch = 0; epoch < 200; epoch++) {
            orders.add(order(new ShardedBatchSampler(), 5, epoch));
        }
        assertThat(orders).hasSizeGreaterThan(195);
    }

    /** The order is part of what a checkpoint relies on: it must not change from one release to the next. */
    @Example
    void orderOfASeedIsFixedForEver() {
        assertThat(Permutation.of(10, 42, 3)).containsExactly(PINNED);
    }

    private static final int[] PINNED = {8, 3, 4, 7, 6, 9, 1, 0, 2, 5};

    @Property(tries = 200)
    void permutationHasEveryIndexOnce(
            @ForAll @IntRange(min = 0, max = 500) int n, @ForAll long seed, @ForAll long epoch) {
        int[] order = Permutation.of(n, seed, epoch);
        assertThat(IntStream.of(order).sorted().toArray())
                .containsExactly(IntStream.range(0, n).toArray());
    }

    @Example
    void everyIndexComesFirstAboutAsOften() {
        int[] first = new int[8];
        for (int epoch = 0; epoch < 8000; epoch++) {
            first[Permutation.of(8, 11, epoch)[0]]++;
        }
        // Binomial: the mean is 1,000 and the standard deviation 30.
        assertThat(IntStream.of(first)).allMatch(count -> count > 850 && count < 1150);
    }

    // ---- requests and plans ----

    @Example
    void requestsThatCannotBeAreRefusedNamingTheValue() {
        assertThat(catchThrowable(() -> new PlanRequest(TWELVE, 2, 2, 0, 0, 1, false)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("rank 2", "0 to 1");
        assertThat(catchThrowable(() -> new PlanRequest(TWELVE, 0, 0, 0, 0, 1, false)))
                .isInstanceOf(InvalidArgumentException.class);
        assertThat(catchThrowable(() -> new PlanRequest(TWELVE, 2, -1, 0, 0, 1, false)))
                .isInstanceOf(InvalidArgumentException.class);
        assertThat(catchThrowable(() -> new PlanRequest(TWELVE, 2, 0, 0, 0, 0, false)))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Example
    void refusalNamesTheRanksAndTheirRows() {
        List<Fragment> fragments = List.of(new Fragment(0, 10, 0), new Fragment(1, 7, 0));
        PlanRequest request = new PlanRequest(fragments, 2, 0, 0, 0, 4, false);
        assertThat(catchThrowable(() -> new ShardedFragmentSampler(false, Uneven.REFUSE).plan(request)))
                .hasMessageContainingAll("10 rows to rank 0", "7 to rank 1");
        assertThat(catchThrowable(() -> new ShardedBatchSampler(false, Uneven.REFUSE).plan(request)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("17 rows");
    }

    @Example
    void planJoinsRangesThatGoOnAndRefusesWhatIsNone() {
        Plan plan = new Plan.Builder()
                .add(5, 0, 3)
                .add(5, 3, 6)
                .add(5, 7, 7)
                .add(6, 0, 1)
                .endStep(7)
                .add(6, 1, 2)
                .endStep(0)
                .build();
        assertThat(plan.allRanges())
                .containsExactly(List.of(new RowRange(5, 0, 6), new RowRange(6, 0, 1)), List.of(new RowRange(6, 1, 2)));
        assertThat(plan.rows(0)).isEqualTo(7);
        assertThat(plan.totalValidRows()).isEqualTo(7);
        assertThat(catchThrowable(() -> new Plan.Builder().add(0, 3, 2))).isInstanceOf(InvalidArgumentException.class);
        assertThat(catchThrowable(() -> new Plan.Builder().add(0, 0, 2).endStep(3)))
                .isInstanceOf(InvalidArgumentException.class);
        assertThat(catchThrowable(() -> new Plan.Builder().endStep(0))).isInstanceOf(InvalidArgumentException.class);
        assertThat(catchThrowable(() -> new Plan.Builder().add(0, 0, 2).build()))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Example
    void largeDatasetIsPlannedInLittleTimeAndMemory() {
        List<Fragment> many = IntStream.range(0, 10_000)
                .mapToObj(i -> new Fragment(i, 12_500, 0))
                .toList();
        Plan plan = new ShardedBatchSampler().plan(new PlanRequest(many, 8, 3, 1, 0, 256, false));
        assertThat(plan.steps()).isEqualTo((125_000_000 / 256 + 7) / 8);
    }
}
