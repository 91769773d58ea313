package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.Ranks;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random worlds of real groups, whose ranks meet in every step: a rank with another number of steps would leave its peers
 * waiting. {@code -Dlancetorch.worlds=500} for more of them than the few of every build.
 */
class RandomWorldsTest {
    private static final int WORLDS = Integer.getInteger("lancetorch.worlds", 30);
    private static final List<SamplerCase> CASES = SamplerCase.all();
    private static final List<UnaryOperator<DataLoader.Builder>> STYLES =
            List.of(UnaryOperator.identity(), DataLoader.Builder::mapStyle, DataLoader.Builder::iterableStyle);

    @TempDir
    private Path folder;

    /** Fragments of 1 to 40 rows; a fragment without any is one whose rows a selection leaves out. */
    private LanceDataset write(int world, Random random) {
        String uri = folder.resolve("world-" + world + ".lance").toString();
        long id = 0;
        for (int fragment = 0; fragment <= random.nextInt(7); fragment++) {
            try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id")))
                    .mode(id == 0 ? LanceWriter.Mode.CREATE : LanceWriter.Mode.APPEND)
                    .open()) {
                for (int row = random.nextInt(4) == 0 ? 1 : 1 + random.nextInt(40); row > 0; row--) {
                    writer.append(id++);
                }
                writer.finish();
            }
        }
        return LanceDataset.open(uri);
    }

    /** Of each fragment all rows or none, at least one fragment's, so that some fragments have no rows. */
    private static RowSelection someFragments(LanceDataset dataset, Random random) {
        List<RowRange> ranges = new ArrayList<>();
        for (Fragment fragment : dataset.fragments()) {
            boolean none = random.nextInt(3) == 0 && !ranges.isEmpty();
            ranges.add(new RowRange(fragment.id(), 0, none ? 0 : fragment.rows()));
        }
        return RowSelection.of(ranges);
    }

    /** What a rank has seen. */
    private record Seen(
            int steps, long agreed, Map<Long, Integer> valid, Map<Long, Integer> repeated, String refusal) {}

    @Test
    @Timeout(3600)
    void randomWorldsHaveEqualStepsAndAccountForEveryRow() throws InterruptedException {
        Map<String, Integer> met = new HashMap<>();
        for (int world = 0; world < WORLDS; world++) {
            var random = new Random(world);
            SamplerCase cell = CASES.get(Math.floorMod(world * 53, CASES.size()));
            int ranks = 1 + random.nextInt(8);
            int batch = 1 + random.nextInt(12);
            boolean dropLast = random.nextInt(4) == 0;
            var style = STYLES.get(world % 3);
            try (LanceDataset dataset = write(world, random)) {
                RowSelection selection = random.nextBoolean() ? someFragments(dataset, random) : null;
                List<Fragment> visible = selection == null ? dataset.fragments() : selection.fragments();
                Sampler sampler = cell.sampler(visible);
                String name = "world " + world + ": " + ranks + " ranks, batches of " + batch + ", " + cell + ", "
                        + visible + (dropLast ? ", dropping the last step" : "");
                long seed = random.nextLong();
                List<Object> outcomes = Ranks.outcomes(ranks, Duration.ofSeconds(60), group -> {
                    DataLoader.Builder builder = style.apply(DataLoader.of(dataset))
                            .sampler(sampler)
                            .batchSize(batch)
                            .seed(seed)
                            .group(group);
                    if (dropLast) {
                        builder.dropLast();
                    }
                    return read(selection == null ? builder : builder.rows(selection), group);
                });
                assertThat(outcomes).as(name).allMatch(Seen.class::isInstance);
                List<Seen> seen = outcomes.stream().map(Seen.class::cast).toList();
                check(name, cell, visible, dataset, new PlanRequest(visible, ranks, 0, seed, 0, batch, dropLast), seen);
                met.merge(String.valueOf(cell.deal().uneven()), 1, Integer::sum);
            }
        }
        assertThat(met.keySet()).contains("PAD", "DROP", "JOIN", "REFUSE");
    }

    /** Goes through an epoch, in each step of which all ranks count their valid rows together. */
    private static Seen read(DataLoader.Builder builder, ProcessGroup group) {
        Map<Long, Integer> valid = new HashMap<>();
        Map<Long, Integer> repeated = new HashMap<>();
        long agreed = 0;
        int steps = 0;
        DataLoader opened;
        try {
            opened = builder.open();
        } catch (InvalidArgumentException e) {
            return new Seen(0, 0, valid, repeated, e.getMessage());
        }
        try (DataLoader loader = opened) {
            for (Batch batch : loader) {
                try (var _ = new TensorScope()) {
                    Tensor counted = Tensor.of(new long[] {batch.validRows()});
                    group.allReduce(counted, ReduceOp.SUM);
                    agreed += counted.itemLong();
                }
                long[] ids = batch.get("id").toLongs();
                for (int row = 0; row < ids.length; row++) {
                    (batch.isValid(row) ? valid : repeated).merge(ids[row], 1, Integer::sum);
                }
                steps++;
            }
            assertThat(loader.state().isAtEnd()).isTrue();
        }
        return new Seen(steps, agreed, valid, repeated, null);
    }

    private static void check(
            String name,
            SamplerCase cell,
            List<Fragment> visible,
            LanceDataset dataset,
            PlanRequest request,
            List<Seen> ranks) {
        Seen first = ranks.getFirst();
        Map<Long, Integer> valid = new HashMap<>();
        Map<Long, Integer> repeated = new HashMap<>();
        for (Seen rank : ranks) {
            assertThat(rank.steps).as(name).isEqualTo(first.steps);
            assertThat(rank.agreed).as(name).isEqualTo(first.agreed);
            assertThat(rank.refusal == null).as(name).isEqualTo(first.refusal == null);
            rank.valid.forEach((id, count) -> valid.merge(id, count, Integer::sum));
            rank.repeated.forEach((id, count) -> repeated.merge(id, count, Integer::sum));
        }
        if (first.refusal != null) {
            assertThat(cell.deal().uneven()).as(first.refusal).isEqualTo(Uneven.REFUSE);
            return;
        }
        assertThat(first.agreed)
                .as(name)
                .isEqualTo(valid.values().stream().mapToLong(Integer::longValue).sum());
        Map<Long, Integer> declared = declared(cell, visible, dataset, request);
        int copies = cell.isAlone() ? request.worldSize() : 1;
        boolean all = !request.dropLast() && cell.deal().uneven() != Uneven.DROP;
        valid.forEach((id, count) -> assertThat(count)
                .as("%s: row %d", name, id)
                .isLessThanOrEqualTo(copies * declared.getOrDefault(id, 0)));
        if (all) {
            declared.forEach((id, count) -> assertThat(valid.getOrDefault(id, 0))
                    .as("%s: row %d", name, id)
                    .isEqualTo(copies * count));
        }
        if (cell.deal().uneven() != Uneven.PAD && cell.deal().uneven() != Uneven.JOIN) {
            assertThat(repeated).as(name).isEmpty();
        }
        assertThat(declared.keySet()).as(name).containsAll(repeated.keySet());
    }

    /** How often each id comes in the epoch that is dealt. */
    private static Map<Long, Integer> declared(
            SamplerCase cell, List<Fragment> visible, LanceDataset dataset, PlanRequest request) {
        Map<Long, int[]> byFragment = cell.declared(request);
        Map<Long, Integer> declared = new HashMap<>();
        long start = 0;
        for (Fragment fragment : dataset.fragments()) {
            int[] counts = byFragment.getOrDefault(fragment.id(), new int[0]);
            for (int row = 0; row < counts.length; row++) {
                if (counts[row] > 0) {
                    declared.put(start + row, counts[row]);
                }
            }
            start += fragment.rows();
        }
        return declared;
    }
}
