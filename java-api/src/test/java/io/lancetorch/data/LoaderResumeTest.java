package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A loader is stopped anywhere, and another one goes on at the very next sample. A run that is killed is a loader closed. */
@Timeout(300)
class LoaderResumeTest {
    private static final int[] SIZES = {17, 1, 40, 3, 26};
    private static final int ROWS = 87;
    private static final int BATCH = 4;
    private static final long SEED = 9;
    private static final long EPOCH = 3;

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;
    private static LanceDataset images;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("rows.lance").toString();
        long id = 0;
        for (int size : SIZES) {
            try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id")))
                    .mode(id == 0 ? LanceWriter.Mode.CREATE : LanceWriter.Mode.APPEND)
                    .open()) {
                for (int row = 0; row < size; row++) {
                    writer.append(id++);
                }
                writer.finish();
            }
        }
        dataset = LanceDataset.open(uri);
        assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(17L, 1L, 40L, 3L, 26L);
        images = TestImages.grays(folder.resolve("images.lance"), ROWS, 20, Set.of(30, 31, 60));
    }

    @AfterAll
    static void close() {
        dataset.close();
        images.close();
    }

    /** Each sampler and policy, in one world after the other. */
    private static List<SamplerCase> cells() {
        return SamplerCase.all().stream()
                .filter(cell -> cell.deal().uneven() != Uneven.REFUSE)
                .toList();
    }

    private static DataLoader.Builder loader(Sampler sampler, int rank, int world) {
        return DataLoader.of(dataset)
                .sampler(sampler)
                .batchSize(BATCH)
                .rank(rank, world)
                .seed(SEED);
    }

    /** The loaders of all ranks of a world, each stopped after the same number of steps. */
    private static final class World {
        /** The valid rows of each step, in the epoch's order. */
        private final List<List<Long>> steps = new ArrayList<>();

        private LoaderState state;

        /** {@code from}: null for an epoch from its beginning. {@code most}: steps to do. */
        World(SamplerCase cell, Sampler sampler, int world, LoaderState from, int most) {
            List<List<List<Long>>> ranks = new ArrayList<>();
            for (int rank = 0; rank < world; rank++) {
                var builder = loader(sampler, rank, world).prefetch(1 + rank % 3);
                try (var loader =
                        from == null ? builder.open() : builder.resumeFrom(from).open()) {
                    if (from == null) {
                        loader.setEpoch(EPOCH);
                    }
                    List<List<Long>> rows = new ArrayList<>();
                    int promised = loader.steps();
                    Iterator<Batch> batches = loader.iterator();
                    while (rows.size() < most && batches.hasNext()) {
                        Batch batch = batches.next();
                        long[] ids = batch.get("id").toLongs();
                        List<Long> step = new ArrayList<>();
                        for (int row = 0; row < batch.rows(); row++) {
                            if (batch.isValid(row)) {
                                step.add(ids[row]);
                            }
                        }
                        rows.add(step);
                    }
                    assertThat(rows).hasSize(Math.min(most, promised));
                    assertThat(loader.state()).as("all ranks").isEqualTo(state == null ? loader.state() : state);
                    state = loader.state();
                    ranks.add(rows);
                }
            }
            for (int step = 0; step < ranks.getFirst().size(); step++) {
                steps.add(inOrder(cell, ranks, step));
            }
        }

        private static List<Long> inOrder(SamplerCase cell, List<List<List<Long>>> ranks, int step) {
            List<Long> rows = new ArrayList<>();
            if (cell.isAlone()) {
                return ranks.getFirst().get(step);
            }
            for (int i = 0; i < (cell.isInterleaved() ? BATCH : 1); i++) {
                for (List<List<Long>> rank : ranks) {
                    List<Long> own = rank.get(step);
                    rows.addAll(
                            cell.isInterleaved()
                                    ? own.subList(Math.min(i, own.size()), Math.min(i + 1, own.size()))
                                    : own);
                }
            }
            return rows;
        }

        List<Long> rows() {
            return steps.stream().flatMap(List::stream).toList();
        }
    }

    @ParameterizedTest
    @MethodSource("cells")
    void killedAtAnyStepARunOfTheSameRanksHasTheSameStepsAsIfItHadNotBeen(SamplerCase cell) {
        Sampler sampler = cell.sampler(dataset.fragments());
        var random = new Random(cell.toString().hashCode());
        int world = 1 + random.nextInt(3);
        World whole = new World(cell, sampler, world, null, Integer.MAX_VALUE);
        assertThat(whole.state.isAtEnd()).isTrue();
        for (int kill = 0; kill < 3; kill++) {
            int stop = random.nextInt(whole.steps.size() + 1);
            World killed = new World(cell, sampler, world, null, stop);
            World resumed = new World(cell, sampler, world, restored(killed.state), Integer.MAX_VALUE);
            List<List<Long>> steps = new ArrayList<>(killed.steps);
            steps.addAll(resumed.steps);
            assertThat(steps).as("%d ranks killed at %d", world, stop).isEqualTo(whole.steps);
            assertThat(resumed.state).isEqualTo(whole.state);
        }
    }

    @ParameterizedTest
    @MethodSource("cells")
    void killedAgainAndAgainRunsOfOtherRanksLoseNoSampleAndRepeatNone(SamplerCase cell) {
        Sampler sampler = cell.sampler(dataset.fragments());
        if (!cell.deal().name().equals("fragments")) {
            List<Long> order = new World(cell, sampler, 1, null, Integer.MAX_VALUE).rows();
            List<Long> seen = new ArrayList<>();
            LoaderState state = null;
            for (int world : new int[] {2, 3, 1}) {
                World run = new World(cell, sampler, world, state, world == 1 ? Integer.MAX_VALUE : 2);
                seen.addAll(run.rows());
                state = restored(run.state);
            }
            if (cell.deal().uneven() == Uneven.DROP) {
                assertThat(order).startsWith(seen.toArray(Long[]::new));
                assertThat(seen).hasSizeGreaterThan(order.size() - 3 * BATCH);
            } else {
                assertThat(seen).isEqualTo(order);
            }
            return;
        }
        World killed = new World(cell, sampler, 2, null, 1);
        assertThatThrownBy(() -> new World(cell, sampler, 3, killed.state, 1))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("world size 2", "this one 3", "DistributedSampler", "ShardedBatchSampler");
    }

    /** Twenty kills, one after the other, each at a random step and with a random number of ranks. */
    @Test
    void twentyKillsLoseNoSampleAndRepeatNone() {
        for (SamplerCase cell : cells()) {
            if (cell.subset()
                    || !cell.rows().shuffled()
                    || cell.deal().uneven() != Uneven.JOIN
                    || cell.deal().name().equals("fragments")) {
                continue;
            }
            Sampler sampler = cell.sampler(dataset.fragments());
            List<Long> order = new World(cell, sampler, 1, null, Integer.MAX_VALUE).rows();
            var random = new Random(20);
            for (int points = 0; points < 20; ) {
                List<Long> seen = new ArrayList<>();
                LoaderState state = null;
                while (state == null || !state.isAtEnd()) {
                    World run = new World(cell, sampler, 1 + random.nextInt(4), state, random.nextInt(4));
                    seen.addAll(run.rows());
                    state = restored(run.state);
                    points++;
                }
                assertThat(seen).as(cell.toString()).isEqualTo(order);
            }
        }
    }

    /** As a checkpoint keeps it. */
    private static LoaderState restored(LoaderState state) {
        return LoaderState.fromMap(new LinkedHashMap<>(state.toMap()));
    }

    // ---- what is random beside the order, and what is replaced ----

    private static List<List<Float>> pixels(BadRows policy, LoaderState from, int most, LoaderState[] at) {
        List<List<Float>> steps = new ArrayList<>();
        try (var loader = DataLoader.of(images)
                .image("image", ImageTransform.randomResizedCrop(6, 6).flip(0.5))
                .sampler(new RandomSampler())
                .badRows(policy)
                .batchSize(5)
                .seed(SEED)
                .decodeThreads(3)
                .open()) {
            loader.setEpoch(EPOCH);
            if (from != null) {
                loader.resume(from);
            }
            Iterator<Batch> batches = loader.iterator();
            while (steps.size() < most && batches.hasNext()) {
                Batch batch = batches.next();
                List<Float> values = new ArrayList<>();
                for (float value : batch.get("image").toFloats()) {
                    values.add(value);
                }
                values.add((float) batch.validRows());
                values.add((float) batch.step());
                steps.add(values);
            }
            at[0] = loader.state();
        }
        return steps;
    }

    @Test
    void augmentedImagesAndRowsInTheSteadOfBadOnesAreAsWithoutTheStop() {
        for (BadRows policy : List.of(BadRows.SKIP, BadRows.SUBSTITUTE)) {
            var state = new LoaderState[1];
            List<List<Float>> whole = pixels(policy, null, Integer.MAX_VALUE, state);
            assertThat(whole).hasSize(18);
            for (int stop : new int[] {0, 1, 7, 17, 18}) {
                List<List<Float>> steps = new ArrayList<>(pixels(policy, null, stop, state));
                steps.addAll(pixels(policy, state[0], Integer.MAX_VALUE, state));
                assertThat(steps).isEqualTo(whole);
            }
        }
    }

    // ---- states ----

    @Test
    void stateCountsWhatWasHandedOutAndNotWhatIsReady() throws InterruptedException {
        try (var loader = DataLoader.of(images)
                .image("image", ImageTransform.resize(4, 4))
                .sampler(new SequentialSampler())
                .badRows(BadRows.SUBSTITUTE)
                .batchSize(5)
                .rank(1, 2)
                .prefetch(4)
                .open()) {
            loader.setEpoch(7);
            assertThat(loader.state()).isEqualTo(new LoaderState(images.version(), 0, 7, 0, ROWS, 0, 0));
            Iterator<Batch> batches = loader.iterator();
            assertThat(loader.state().consumed()).isZero();
            batches.next();
            while (loader.stats().queueDepth() < 4) {
                Thread.sleep(1);
            }
            assertThat(loader.state().consumed()).isEqualTo(10);
            assertThat(batches.hasNext()).isTrue();
            assertThat(loader.state().consumed()).isEqualTo(10);
            batches.forEachRemaining(batch -> {});
            assertThat(loader.state().consumed()).isEqualTo(ROWS);
            loader.setEpoch(7);
            assertThat(loader.state().isAtEnd()).isTrue();
            loader.setEpoch(8);
            assertThat(loader.state()).isEqualTo(new LoaderState(images.version(), 0, 8, 0, ROWS, 0, 0));
        }
    }

    @Test
    void stateIsTheSameForAnyRanksThreadsAndBatches() {
        Set<LoaderState> states = new HashSet<>();
        for (int world : new int[] {1, 2, 3, 6}) {
            try (var loader = DataLoader.of(dataset)
                    .sampler(new BatchSampler(RandomSampler.inClumps(3), Uneven.JOIN))
                    .batchSize(12 / world)
                    .rank(world - 1, world)
                    .decodeThreads(world)
                    .open()) {
                Iterator<Batch> batches = loader.iterator();
                batches.next();
                batches.next();
                states.add(loader.state());
            }
        }
        assertThat(states).containsExactly(new LoaderState(dataset.version(), 0, 0, 24, ROWS, 0, 0));
    }

    @Test
    void onlyTheNextIterationIsResumed() {
        try (var loader = loader(new SequentialSampler(), 0, 1)
                .resumeFrom(new LoaderState(dataset.version(), SEED, 2, 80, ROWS, 0, 0))
                .open()) {
            assertThat(loader.state().consumed()).isEqualTo(80);
            assertThat(loader.steps()).isEqualTo(2);
            loader.setEpoch(2);
            assertThat(steps(loader)).containsExactly(20L, 21L);
            assertThat(loader.steps()).isEqualTo(22);
            assertThat(steps(loader)).hasSize(22).startsWith(0L);
            loader.resume(new LoaderState(dataset.version(), SEED, 2, 78, ROWS, 0, 0));
            assertThat(steps(loader)).as("19 steps of 4, and two rows").containsExactly(20L, 21L, 22L);
            loader.resume(new LoaderState(dataset.version(), SEED, 2, 78, ROWS, 0, 0));
            loader.setEpoch(3);
            assertThat(steps(loader)).hasSize(22);
        }
    }

    private static List<Long> steps(DataLoader loader) {
        List<Long> steps = new ArrayList<>();
        loader.forEach(batch -> steps.add(batch.step()));
        return steps;
    }

    @Test
    void endOfAnEpochThatDropsRowsIsItsEndInAnyWorld() {
        LoaderState end;
        try (var loader = loader(new BatchSampler(new RandomSampler(), Uneven.DROP), 0, 5)
                .dropLast()
                .open()) {
            loader.forEach(batch -> {});
            end = loader.state();
        }
        assertThat(end.isAtEnd()).isTrue();
        try (var loader = loader(new BatchSampler(new RandomSampler(), Uneven.DROP), 0, 1)
                .resumeFrom(end)
                .open()) {
            assertThat(loader.steps()).isZero();
            assertThat(loader.iterator().hasNext()).isFalse();
        }
    }

    // ---- samplers of the user's own ----

    @Test
    void samplerWithoutAnOrderGoesOnByStepsOfTheSameWorldAndBatch() {
        Sampler own = request -> {
            var plan = new Plan.Builder();
            for (int step = 0; step < 6; step++) {
                plan.add(request.fragments().getFirst().id(), step, step + 1 + step % 2)
                        .endStep(1);
            }
            return plan.build();
        };
        LoaderState state;
        try (var loader = loader(own, 1, 2).open()) {
            Iterator<Batch> batches = loader.iterator();
            for (int i = 0; i < 4; i++) {
                batches.next();
            }
            state = loader.state();
            assertThat(state).isEqualTo(new LoaderState(dataset.version(), SEED, 0, 32, 48, BATCH, 2));
        }
        try (var loader = loader(own, 1, 2).resumeFrom(state).open()) {
            List<Long> first = new ArrayList<>();
            loader.forEach(batch -> first.add(batch.get("id").toLongs()[0]));
            assertThat(first).containsExactly(4L, 5L);
            assertThat(loader.state().isAtEnd()).isTrue();
        }
        assertRefused(() -> loader(own, 0, 1).resumeFrom(state).open(), "world size 2", "1");
        assertRefused(() -> loader(own, 1, 2).batchSize(5).resumeFrom(state).open(), "batch size " + BATCH, "5");
    }

    @Test
    void samplerThatDropsWhatIsConsumedIsRefused() {
        Sampler forgetful = request -> new SequentialSampler().plan(request.withConsumed(0));
        var state = new LoaderState(dataset.version(), SEED, 0, 8, ROWS, 0, 0);
        assertRefused(
                () -> loader(forgetful, 0, 1).resumeFrom(state).open(), "from sample 0", "8", "PlanRequest.consumed");
    }

    // ---- errors ----

    private static void assertRefused(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call).isInstanceOf(InvalidArgumentException.class).hasMessageContainingAll(parts);
    }

    @Test
    void stateOfAnotherRunIsRefusedNamingWhatDiffers() {
        long version = dataset.version();
        try (var loader = loader(new RandomSampler(), 0, 1).open()) {
            assertRefused(
                    () -> loader.resume(new LoaderState(version - 1, SEED, 0, 8, ROWS, 0, 0)),
                    "version " + (version - 1),
                    "this one " + version);
            assertRefused(() -> loader.resume(new LoaderState(version, 4, 0, 8, ROWS, 0, 0)), "seed 4", "one 9");
            assertRefused(() -> loader.resume(new LoaderState(version, SEED, 0, 8, 60, 0, 0)), "rows 60", "one 87");
            assertRefused(
                    () -> loader.resume(new LoaderState(version, SEED, 0, 8, ROWS, 6, 0)), "batch size 6", "one 0");
            assertThat(loader.state().consumed()).as("as before").isZero();
            assertThat(loader.steps()).isEqualTo(22);
        }
        try (var loader = loader(new ShardedBatchSampler(), 0, 1).open()) {
            assertRefused(
                    () -> loader.resume(new LoaderState(version, SEED, 0, 8, ROWS, 8, 0)),
                    "batch size 8",
                    "one " + BATCH,
                    "ShardedBatchSampler");
        }
        assertRefused(
                () -> loader(new RandomSampler(), 0, 1)
                        .filter("id < 50")
                        .resumeFrom(new LoaderState(version, SEED, 0, 8, ROWS, 0, 0))
                        .open(),
                "rows 87",
                "50");
    }

    @Test
    void mapThatIsNoStateIsRefusedNamingTheEntry() {
        var state = new LoaderState(4, -1, 2, 80, ROWS, 3, 2);
        assertThat(restored(state)).isEqualTo(state);
        for (String name : state.toMap().keySet()) {
            for (Object wrong : new Object[] {null, "7", 7.5, List.of()}) {
                Map<String, Object> map = new HashMap<>(state.toMap());
                map.put(name, wrong);
                assertThatThrownBy(() -> LoaderState.fromMap(map))
                        .isInstanceOf(CorruptDataException.class)
                        .hasMessageContaining(name);
            }
        }
        Map<String, Object> large = new HashMap<>(state.toMap());
        large.put("world_size", 1L << 40);
        assertThatThrownBy(() -> LoaderState.fromMap(large)).isInstanceOf(CorruptDataException.class);
        assertRefused(() -> new LoaderState(4, 0, 0, 9, 8, 0, 0), "9 samples", "8");
    }
}
