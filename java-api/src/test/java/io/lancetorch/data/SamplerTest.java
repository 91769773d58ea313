package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowRange;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
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
import net.jqwik.api.Tuple;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** What holds for every sampler, whatever the fragments, the world and the batch: each try goes through all cases. */
class SamplerTest {
    private static final int TRIES = 40;
    private static final List<SamplerCase> CASES = SamplerCase.all();

    /** Fragments of none, one, a few or many rows, in any mixture, with ids that are no positions. */
    @Provide
    Arbitrary<List<Fragment>> fragments() {
        Arbitrary<Long> rows = Arbitraries.frequencyOf(
                Tuple.of(2, Arbitraries.just(0L)),
                Tuple.of(2, Arbitraries.just(1L)),
                Tuple.of(5, Arbitraries.longs().between(2, 40)),
                Tuple.of(1, Arbitraries.longs().between(200, 1000)));
        return rows.list().ofMinSize(0).ofMaxSize(24).map(SamplerTest::fragments);
    }

    private static List<Fragment> fragments(List<Long> sizes) {
        return IntStream.range(0, sizes.size())
                .mapToObj(i -> new Fragment(3L * i + 7, sizes.get(i), i % 2))
                .toList();
    }

    /** The plan of each rank, or null where the sampler refuses, which all ranks must do alike. */
    private static List<Plan> plans(SamplerCase cell, PlanRequest request) {
        Sampler sampler = cell.sampler(request.fragments());
        List<Plan> plans = new ArrayList<>();
        int refusals = 0;
        for (int rank = 0; rank < request.worldSize(); rank++) {
            try {
                plans.add(sampler.plan(request.withRank(rank)));
            } catch (InvalidArgumentException e) {
                assertThat(cell.deal().uneven())
                        .as("%s: %s", cell, e.getMessage())
                        .isEqualTo(Uneven.REFUSE);
                refusals++;
            }
        }
        assertThat(refusals).as("ranks that refuse").isIn(0, request.worldSize());
        return refusals > 0 ? null : plans;
    }

    /** How often each row of each fragment comes: among the first `valid` rows of the steps, or among all. */
    private static Map<Long, int[]> counts(List<Fragment> fragments, List<Plan> plans, boolean validOnly) {
        Map<Long, int[]> counts = SamplerCase.none(fragments);
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

    private static void assertSame(SamplerCase cell, Map<Long, int[]> counts, Map<Long, int[]> expected) {
        expected.forEach((fragment, rows) -> assertThat(counts.get(fragment))
                .as("%s: fragment %d", cell, fragment)
                .isEqualTo(rows));
    }

    private static long rows(Plan plan) {
        return IntStream.range(0, plan.steps()).mapToLong(plan::rows).sum();
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void allRanksHaveTheSameStepsAndRows(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll boolean dropLast) {
        for (SamplerCase cell : CASES) {
            List<Plan> plans = plans(cell, new PlanRequest(fragments, world, 0, seed, 0, batch, dropLast));
            if (plans == null) {
                continue;
            }
            Plan first = plans.getFirst();
            for (Plan plan : plans) {
                assertThat(plan.steps()).as(cell.toString()).isEqualTo(first.steps());
                for (int step = 0; step < plan.steps(); step++) {
                    boolean last = step == plan.steps() - 1;
                    if (cell.deal().uneven() != Uneven.JOIN) {
                        assertThat(plan.rows(step)).as(cell.toString()).isEqualTo(first.rows(step));
                        assertThat(plan.rows(step)).isBetween(last && !dropLast ? 1 : batch, batch);
                    }
                    assertThat(plan.rows(step)).isBetween(1, batch);
                    assertThat(plan.validRows(step)).isBetween(0, plan.rows(step));
                    assertThat(plan.ranges(step).stream()
                                    .mapToLong(RowRange::rows)
                                    .sum())
                            .isEqualTo(plan.rows(step));
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void rangesLieWithinTheirFragments(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        Map<Long, Long> rows = new HashMap<>();
        fragments.forEach(fragment -> rows.put(fragment.id(), fragment.rows()));
        for (SamplerCase cell : CASES) {
            List<Plan> plans = plans(cell, new PlanRequest(fragments, world, 0, seed, 3, batch, false));
            if (plans == null) {
                continue;
            }
            boolean within = plans.stream()
                    .flatMap(plan -> plan.allRanges().stream())
                    .flatMap(List::stream)
                    .allMatch(range -> range.begin() >= 0
                            && range.begin() < range.end()
                            && range.end() <= rows.getOrDefault(range.fragmentId(), -1L));
            assertThat(within).as(cell.toString()).isTrue();
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void paddingReadsTheEpochsRowsOnceAsValidAndRepeatsUpToTheLargestShare(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll @IntRange(min = 0, max = 3) int epoch) {
        var request = new PlanRequest(fragments, world, 0, seed, epoch, batch, false);
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() != Uneven.PAD) {
                continue;
            }
            List<Plan> plans = plans(cell, request);
            Map<Long, int[]> declared = cell.declared(request);
            assertSame(cell, counts(fragments, plans, true), declared);
            counts(fragments, plans, false).forEach((fragment, rows) -> {
                for (int row = 0; row < rows.length; row++) {
                    assertThat(rows[row] > 0)
                            .as("%s: row %d of fragment %d", cell, row, fragment)
                            .isEqualTo(declared.get(fragment)[row] > 0);
                }
            });
            long most = plans.stream().mapToLong(Plan::totalValidRows).max().orElseThrow();
            assertThat(plans).as(cell.toString()).allMatch(plan -> rows(plan) == most);
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void joiningReadsTheEpochsRowsOnceAndTakesTheStepsOfPadding(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll boolean dropLast) {
        var request = new PlanRequest(fragments, world, 0, seed, 0, batch, dropLast);
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() != Uneven.JOIN) {
                continue;
            }
            List<Plan> plans = plans(cell, request);
            List<Plan> padded = plans(cell.with(Uneven.PAD), request);
            assertSame(cell, counts(fragments, plans, true), counts(fragments, padded, true));
            if (!dropLast) {
                assertSame(cell, counts(fragments, plans, true), cell.declared(request));
            }
            for (int rank = 0; rank < world; rank++) {
                Plan plan = plans.get(rank);
                assertThat(plan.steps()).isEqualTo(padded.get(rank).steps());
                for (int step = 0; step < plan.steps(); step++) {
                    int valid = plan.validRows(step);
                    assertThat(valid)
                            .as(cell.toString())
                            .isEqualTo(padded.get(rank).validRows(step));
                    assertThat(plan.rows(step)).as(cell.toString()).isEqualTo(valid == 0 ? Math.min(2, batch) : valid);
                }
            }
        }
    }

    // ---- the epoch's order, and going on in it ----

    /** The valid rows of a step, as {@link Plan#key}. */
    private static List<Long> valid(Plan plan, int step) {
        List<Long> rows = new ArrayList<>();
        plan.forEachRow(step, (row, key) -> {
            if (row < plan.validRows(step)) {
                rows.add(key);
            }
        });
        return rows;
    }

    /** The valid rows that all ranks have in a step, in the epoch's order. */
    private static List<Long> inOrder(SamplerCase cell, List<Plan> plans, int step) {
        List<List<Long>> ranks = plans.stream().map(plan -> valid(plan, step)).toList();
        if (cell.isAlone()) {
            assertThat(ranks).as(cell.toString()).allMatch(ranks.getFirst()::equals);
            return ranks.getFirst();
        }
        if (!cell.isInterleaved()) {
            return ranks.stream().flatMap(List::stream).toList();
        }
        List<Long> rows = new ArrayList<>();
        for (int i = 0; i < ranks.stream().mapToInt(List::size).max().orElse(0); i++) {
            for (List<Long> rank : ranks) {
                if (i < rank.size()) {
                    rows.add(rank.get(i));
                }
            }
        }
        return rows;
    }

    private static List<Long> inOrder(SamplerCase cell, List<Plan> plans) {
        List<Long> rows = new ArrayList<>();
        for (int step = 0; step < plans.getFirst().steps(); step++) {
            rows.addAll(inOrder(cell, plans, step));
        }
        return rows;
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void stoppedAtAnyStepItGoesOnAsIfItHadNotBeen(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll boolean dropLast,
            @ForAll @IntRange(min = 0, max = 1000) int stop) {
        var request = new PlanRequest(fragments, world, 0, seed, 5, batch, dropLast);
        for (SamplerCase cell : CASES) {
            List<Plan> whole = plans(cell, request);
            if (whole == null) {
                continue;
            }
            int done = stop % (whole.getFirst().steps() + 1);
            List<Plan> left = plans(cell, request.withConsumed(whole.getFirst().consumed(done)));
            for (int rank = 0; rank < world; rank++) {
                Plan before = whole.get(rank);
                Plan after = left.get(rank);
                assertThat(before.consumed(done)).isEqualTo(whole.getFirst().consumed(done));
                assertThat(after.allRanges())
                        .as("%s, after %d steps", cell, done)
                        .isEqualTo(before.allRanges().subList(done, before.steps()));
                for (int step = 0; step < after.steps(); step++) {
                    assertThat(after.validRows(step)).isEqualTo(before.validRows(done + step));
                    assertThat(after.number(step)).isEqualTo(done + step);
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void orderIsTheSameForAnyWorldAndAnyBatchThatMayDiffer(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 16) int otherWorld,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll @IntRange(min = 1, max = 70) int otherBatch,
            @ForAll long seed) {
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() == Uneven.DROP || cell.deal().uneven() == Uneven.REFUSE) {
                continue;
            }
            List<Plan> plans = plans(cell, new PlanRequest(fragments, world, 0, seed, 5, batch, false));
            EpochOrder order = plans.getFirst().order();
            List<Plan> others = plans(
                    cell,
                    new PlanRequest(
                            fragments,
                            order.ofWorldSize() ? world : otherWorld,
                            0,
                            seed,
                            5,
                            order.ofBatchSize() ? batch : otherBatch,
                            false));
            List<Long> samples = inOrder(cell, others);
            assertThat(samples).as(cell.toString()).isEqualTo(inOrder(cell, plans));
            if (!order.ofWorldSize()) {
                assertThat(samples).as(cell.toString()).hasSize((int) order.rows());
                for (int step = 0; step < plans.getFirst().steps(); step++) {
                    assertThat(inOrder(cell, plans, step))
                            .as("%s, step %d", cell, step)
                            .isEqualTo(samples.subList((int) plans.getFirst().consumed(step), (int)
                                    plans.getFirst().consumed(step + 1)));
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void stoppedAndGoneOnInOtherWorldsEachSampleComesOnceInTheSameOrder(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @Size(min = 2, max = 5) List<@IntRange(min = 1, max = 16) Integer> worlds,
            @ForAll @IntRange(min = 1, max = 20) int batch,
            @ForAll long seed,
            @ForAll @IntRange(min = 1, max = 6) int stepsOfEach) {
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() == Uneven.DROP || cell.deal().uneven() == Uneven.REFUSE) {
                continue;
            }
            List<Plan> alone = plans(cell, new PlanRequest(fragments, 1, 0, seed, 2, batch, false));
            if (alone.getFirst().order().ofWorldSize()) {
                continue;
            }
            List<Long> seen = new ArrayList<>();
            long consumed = 0;
            for (int i = 0; i < worlds.size(); i++) {
                var request = new PlanRequest(fragments, worlds.get(i), 0, seed, 2, batch, false, consumed);
                List<Plan> plans = plans(cell, request);
                int all = plans.getFirst().steps();
                int steps = i == worlds.size() - 1 ? all : Math.min(all, stepsOfEach);
                for (int step = 0; step < steps; step++) {
                    seen.addAll(inOrder(cell, plans, step));
                }
                consumed = plans.getFirst().consumed(steps);
            }
            assertThat(seen).as("%s on %s ranks", cell, worlds).isEqualTo(inOrder(cell, alone));
        }
    }

    @Example
    void fragmentsDoNotGoOnInAnotherWorldUnnoticed() {
        var request = new PlanRequest(TWELVE, 2, 0, 0, 0, 8, false).withConsumed(32);
        assertThat(new ShardedFragmentSampler().plan(request).order().ofWorldSize())
                .isTrue();
        assertThat(catchThrowable(() -> new ShardedFragmentSampler()
                        .plan(new PlanRequest(TWELVE, 3, 0, 0, 0, 8, false).withConsumed(32))))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("32 samples", "3 ranks", "ShardedFragmentSampler");
    }

    @Example
    void moreSamplesThanAnEpochHasAreRefused() {
        for (SamplerCase cell : CASES) {
            var request = new PlanRequest(TWELVE, 1, 0, 0, 0, 8, false).withConsumed(100_000);
            assertThat(catchThrowable(() -> cell.sampler(TWELVE).plan(request)))
                    .as(cell.toString())
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("100000 samples");
        }
        assertThat(catchThrowable(() -> new PlanRequest(TWELVE, 1, 0, 0, 0, 8, false).withConsumed(-1)))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void droppingRepeatsNothingAndCutsDownToTheSmallestShare(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        var request = new PlanRequest(fragments, world, 0, seed, 0, batch, false);
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() != Uneven.DROP) {
                continue;
            }
            List<Plan> plans = plans(cell, request);
            Map<Long, int[]> declared = cell.declared(request);
            counts(fragments, plans, false).forEach((fragment, rows) -> {
                for (int row = 0; row < rows.length; row++) {
                    assertThat(rows[row])
                            .as("%s: row %d of fragment %d", cell, row, fragment)
                            .isLessThanOrEqualTo(declared.get(fragment)[row]);
                }
            });
            long least = plans(cell.with(Uneven.PAD), request).stream()
                    .mapToLong(Plan::totalValidRows)
                    .min()
                    .orElseThrow();
            assertThat(plans)
                    .as(cell.toString())
                    .allMatch(plan -> rows(plan) == least && plan.totalValidRows() == least);
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void refusingThrowsExactlyWherePaddingWouldRepeat(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        var request = new PlanRequest(fragments, world, 0, seed, 0, batch, false);
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() != Uneven.REFUSE) {
                continue;
            }
            List<Plan> padded = plans(cell.with(Uneven.PAD), request);
            boolean repeats = padded.stream().anyMatch(plan -> plan.totalValidRows() < rows(plan));
            List<Plan> strict = plans(cell, request);
            assertThat(strict == null).as(cell.toString()).isEqualTo(repeats);
            if (strict != null) {
                for (int rank = 0; rank < world; rank++) {
                    assertThat(strict.get(rank).allRanges())
                            .isEqualTo(padded.get(rank).allRanges());
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void fullScanGivesEveryRankEveryRowOnce(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 8) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        var request = new PlanRequest(fragments, world, 0, seed, 1, batch, false);
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() != null) {
                continue;
            }
            for (Plan plan : plans(cell, request)) {
                assertSame(cell, counts(fragments, List.of(plan), false), cell.declared(request));
                assertThat(plan.totalValidRows()).isEqualTo(rows(plan));
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void samplerIsAPureFunction(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed,
            @ForAll long epoch) {
        var request = new PlanRequest(fragments, world, world - 1, seed, epoch, batch, false);
        for (SamplerCase cell : CASES) {
            Sampler sampler = cell.sampler(fragments);
            Plan first;
            try {
                first = sampler.plan(request);
            } catch (InvalidArgumentException e) {
                assertThat(catchThrowable(() -> sampler.plan(request))).hasMessage(e.getMessage());
                continue;
            }
            catchThrowable(() -> sampler.plan(new PlanRequest(fragments, 1, 0, ~seed, epoch + 1, 3, true)));
            for (Sampler again : List.of(sampler, cell.sampler(fragments))) {
                Plan second = again.plan(request);
                assertThat(second.allRanges()).as(cell.toString()).isEqualTo(first.allRanges());
                for (int step = 0; step < first.steps(); step++) {
                    assertThat(second.validRows(step)).isEqualTo(first.validRows(step));
                }
            }
        }
    }

    @Property(tries = TRIES, shrinking = ShrinkingMode.BOUNDED)
    void droppingTheLastStepLeavesTheOthersAsTheyAre(
            @ForAll("fragments") List<Fragment> fragments,
            @ForAll @IntRange(min = 1, max = 16) int world,
            @ForAll @IntRange(min = 1, max = 70) int batch,
            @ForAll long seed) {
        for (SamplerCase cell : CASES) {
            List<Plan> whole = plans(cell, new PlanRequest(fragments, world, 0, seed, 0, batch, false));
            if (whole == null) {
                continue;
            }
            List<Plan> dropped = plans(cell, new PlanRequest(fragments, world, 0, seed, 0, batch, true));
            for (int rank = 0; rank < world; rank++) {
                List<List<RowRange>> all = whole.get(rank).allRanges();
                int steps = all.size();
                int most = steps == 0
                        ? batch
                        : whole.stream()
                                .mapToInt(plan -> plan.validRows(steps - 1))
                                .max()
                                .orElseThrow();
                int full = most < batch ? steps - 1 : steps;
                assertThat(dropped.get(rank).allRanges()).as(cell.toString()).isEqualTo(all.subList(0, full));
            }
        }
    }

    @Example
    void withoutRowsThereAreNoSteps() {
        for (List<Long> sizes : List.of(List.<Long>of(), List.of(0L), List.of(0L, 0L, 0L))) {
            for (SamplerCase cell : CASES) {
                for (Plan plan : plans(cell, new PlanRequest(fragments(sizes), 3, 0, 1, 0, 4, false))) {
                    assertThat(plan.steps()).as(cell.toString()).isZero();
                }
            }
        }
    }

    @Example
    void fewerRowsThanRanksArePaddedToOneStep() {
        List<Fragment> fragments = fragments(List.of(0L, 2L, 1L, 0L));
        for (Sampler sampler : List.of(
                new ShardedBatchSampler(),
                new ShardedFragmentSampler(),
                new DistributedSampler(),
                new BatchSampler(new RandomSampler(), Uneven.PAD))) {
            long valid = 0;
            for (int rank = 0; rank < 16; rank++) {
                Plan plan = sampler.plan(new PlanRequest(fragments, 16, rank, 1, 0, 4, false));
                assertThat(plan.steps()).as(sampler.toString()).isEqualTo(1);
                valid += plan.totalValidRows();
            }
            assertThat(valid).as(sampler.toString()).isEqualTo(3);
        }
    }

    // ---- orders ----

    private static final List<Fragment> TWELVE =
            IntStream.range(0, 12).mapToObj(i -> new Fragment(i, 40, 0)).toList();

    private static List<List<RowRange>> order(SamplerCase cell, long seed, long epoch) {
        Plan plan = cell.sampler(TWELVE).plan(new PlanRequest(TWELVE, 2, 0, seed, epoch, 20, false));
        return plan.allRanges();
    }

    @Example
    void shuffledOrderDependsOnSeedAndOnEpochAndNoOtherDoes() {
        for (SamplerCase cell : CASES) {
            if (cell.deal().uneven() == Uneven.REFUSE
                    && plans(cell, new PlanRequest(TWELVE, 2, 0, 1, 0, 20, false)) == null) {
                continue;
            }
            var orders = new HashSet<List<List<RowRange>>>();
            orders.add(order(cell, 1, 0));
            orders.add(order(cell, 1, 1));
            orders.add(order(cell, 2, 0));
            // Seed and epoch must not be added up.
            orders.add(order(cell, 0, 1));
            assertThat(orders).as(cell.toString()).hasSize(cell.rows().shuffled() ? 4 : 1);
        }
    }

    @Example
    void epochsGoThroughManyOrders() {
        var orders = new HashSet<List<List<RowRange>>>();
        for (long epoch = 0; epoch < 200; epoch++) {
            var request = new PlanRequest(TWELVE, 2, 0, 5, epoch, 20, false);
            orders.add(new ShardedBatchSampler().plan(request).allRanges());
        }
        assertThat(orders).hasSizeGreaterThan(195);
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
        assertThat(catchThrowable(() -> new DistributedSampler(new RandomSampler(), Uneven.REFUSE).plan(request)))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("17 rows", "9 to rank 0", "8 to rank 1");
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
