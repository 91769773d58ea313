package io.lancetorch.data;

import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toList;
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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random worlds whose ranks, of a real group, meet in every step: a rank with another number of steps would leave its peers
 * waiting, or meet them in another world's step. {@code -Dlancetorch.worlds=500} for more of them than the few of every build.
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

    /** One world to be: what all ranks are told. */
    private record World(
            String name,
            SamplerCase cell,
            int ranks,
            String uri,
            RowSelection selection,
            List<Fragment> all,
            PlanRequest request,
            UnaryOperator<DataLoader.Builder> style) {
        DataLoader.Builder loader(LanceDataset dataset, ProcessGroup group) {
            DataLoader.Builder builder = style.apply(DataLoader.of(dataset))
                    .sampler(cell.sampler(request.fragments()))
                    .batchSize(request.batchSize())
                    .seed(request.seed())
                    .group(group);
            if (request.dropLast()) {
                builder.dropLast();
            }
            return selection == null ? builder : builder.rows(selection);
        }
    }

    private World world(int number) {
        var random = new Random(number);
        SamplerCase cell = CASES.get(Math.floorMod(number * 53, CASES.size()));
        int ranks = 1 + random.nextInt(8);
        int batch = 1 + random.nextInt(12);
        boolean dropLast = random.nextInt(4) == 0;
        try (LanceDataset dataset = write(number, random)) {
            RowSelection selection = random.nextBoolean() ? someFragments(dataset, random) : null;
            List<Fragment> visible = selection == null ? dataset.fragments() : selection.fragments();
            var request = new PlanRequest(visible, ranks, 0, random.nextLong(), 0, batch, dropLast);
            String name = "world " + number + ", " + cell + ", " + request;
            return new World(
                    name,
                    cell,
                    ranks,
                    dataset.uri(),
                    selection,
                    dataset.fragments(),
                    request,
                    STYLES.get(number % STYLES.size()));
        }
    }

    /** What a rank has seen of a world. */
    private record Seen(
            int steps, long agreed, Map<Long, Integer> valid, Map<Long, Integer> repeated, String refusal) {}

    @Test
    @Timeout(3600)
    void randomWorldsHaveEqualStepsAndAccountForEveryRow() throws InterruptedException {
        Map<Integer, List<World>> bySize = IntStream.range(0, WORLDS)
                .mapToObj(this::world)
                .collect(groupingBy(World::ranks, TreeMap::new, toList()));
        Set<Uneven> met = new HashSet<>();
        for (Map.Entry<Integer, List<World>> size : bySize.entrySet()) {
            List<World> worlds = size.getValue();
            List<Object> outcomes = Ranks.outcomes(size.getKey(), Duration.ofSeconds(60), group -> {
                List<Seen> seen = new ArrayList<>();
                for (World world : worlds) {
                    try (LanceDataset dataset = LanceDataset.open(world.uri)) {
                        seen.add(read(world.loader(dataset, group), group));
                    }
                }
                return seen;
            });
            assertThat(outcomes).as("%d ranks", size.getKey()).allMatch(List.class::isInstance);
            for (int i = 0; i < worlds.size(); i++) {
                List<Seen> ranks = new ArrayList<>();
                for (Object outcome : outcomes) {
                    ranks.add((Seen) ((List<?>) outcome).get(i));
                }
                check(worlds.get(i), ranks);
                met.add(worlds.get(i).cell.deal().uneven());
            }
        }
        assertThat(met).contains(Uneven.values());
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

    private static void check(World world, List<Seen> ranks) {
        String name = world.name;
        Uneven uneven = world.cell.deal().uneven();
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
            assertThat(uneven).as(first.refusal).isEqualTo(Uneven.REFUSE);
            return;
        }
        assertThat(valid.values().stream().mapToLong(Integer::longValue).sum())
                .as(name)
                .isEqualTo(first.agreed);
        Map<Long, Integer> declared = declared(world);
        int copies = world.cell.isAlone() ? world.ranks : 1;
        valid.forEach((id, count) -> assertThat(count)
                .as("%s: row %d", name, id)
                .isLessThanOrEqualTo(copies * declared.getOrDefault(id, 0)));
        if (!world.request.dropLast() && uneven != Uneven.DROP) {
            declared.forEach((id, count) -> assertThat(valid.getOrDefault(id, 0))
                    .as("%s: row %d", name, id)
                    .isEqualTo(copies * count));
        }
        if (uneven != Uneven.PAD && uneven != Uneven.JOIN) {
            assertThat(repeated).as(name).isEmpty();
        }
        assertThat(declared.keySet()).as(name).containsAll(repeated.keySet());
    }

    /** How often each id comes in the epoch that is dealt. */
    private static Map<Long, Integer> declared(World world) {
        Map<Long, int[]> byFragment = world.cell.declared(world.request);
        Map<Long, Integer> declared = new HashMap<>();
        long start = 0;
        for (Fragment fragment : world.all) {
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
