package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.distributed.Ranks;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Ranks that share a model read the same batches; the replicas read what so many ranks without replication would. */
@Timeout(120)
class ReplicationTest {
    private static final int ROWS = 87;

    @TempDir
    private static Path folder;

    private static LanceDataset images;

    @BeforeAll
    static void write() {
        images = TestImages.grays(folder.resolve("images.lance"), ROWS, 20, Set.of(30, 31, 60));
    }

    @AfterAll
    static void close() {
        images.close();
    }

    private static DataLoader.Builder rows(Sampler sampler, int rank, int world) {
        return DataLoader.of(images)
                .columns("id")
                .sampler(sampler)
                .batchSize(4)
                .seed(5)
                .rank(rank, world);
    }

    private static List<SamplerCase> cells() {
        return SamplerCase.all().stream()
                .filter(cell -> cell.deal().uneven() != Uneven.REFUSE)
                .toList();
    }

    @ParameterizedTest
    @MethodSource("cells")
    void replicasArePlannedAsSoManyRanksWouldBe(SamplerCase cell) {
        Sampler sampler = cell.sampler(images.fragments());
        for (int world : new int[] {1, 2, 4, 6, 12}) {
            for (int replication = 1; replication <= world; replication++) {
                if (world % replication != 0) {
                    continue;
                }
                for (int rank = 0; rank < world; rank++) {
                    try (var replicated = rows(sampler, rank, world)
                                    .replication(replication)
                                    .open();
                            var plain = rows(sampler, rank / replication, world / replication)
                                    .open()) {
                        replicated.setEpoch(2);
                        plain.setEpoch(2);
                        assertThat(replicated.plan().allRanges())
                                .as("rank %d of %d by %d", rank, world, replication)
                                .isEqualTo(plain.plan().allRanges());
                        assertThat(replicated.state()).isEqualTo(plain.state());
                    }
                }
            }
        }
    }

    /** All bytes of all batches, with which rows are valid. */
    private static List<List<Byte>> bytes(DataLoader loader, int most) {
        List<List<Byte>> steps = new ArrayList<>();
        Iterator<Batch> batches = loader.iterator();
        while (steps.size() < most && batches.hasNext()) {
            Batch batch = batches.next();
            List<Byte> step = new ArrayList<>();
            try (var _ = new TensorScope()) {
                for (Tensor tensor : List.of(batch.get("image"), batch.get("id"), batch.mask())) {
                    for (float value : tensor.toFloats()) {
                        int bits = Float.floatToRawIntBits(value);
                        for (int shift = 0; shift < 32; shift += 8) {
                            step.add((byte) (bits >>> shift));
                        }
                    }
                }
            }
            steps.add(step);
        }
        return steps;
    }

    private static DataLoader.Builder augmented() {
        return DataLoader.of(images)
                .image("image", ImageTransform.randomResizedCrop(6, 6).flip(0.5))
                .sampler(new DistributedSampler(new RandomSampler(), Uneven.JOIN))
                .badRows(BadRows.SKIP)
                .batchSize(5)
                .seed(5);
    }

    @ParameterizedTest
    @CsvSource({"2, 2", "4, 2", "6, 2", "6, 3"})
    void ranksOfAReplicaReadTheSameBytesAndTheReplicasEachRowOnce(int world, int replication) {
        List<Long> valid = new ArrayList<>();
        List<List<Byte>> ofReplica = null;
        for (int rank = 0; rank < world; rank++) {
            try (var loader = augmented()
                    .rank(rank, world)
                    .replication(replication)
                    .decodeThreads(1 + rank % 3)
                    .open()) {
                List<List<Byte>> own = bytes(loader, Integer.MAX_VALUE);
                if (rank % replication == 0) {
                    ofReplica = own;
                    for (Batch batch : loader) {
                        long[] ids = batch.get("id").toLongs();
                        for (int row = 0; row < batch.rows(); row++) {
                            if (batch.isValid(row)) {
                                valid.add(ids[row]);
                            }
                        }
                    }
                }
                assertThat(own).as("rank %d", rank).isEqualTo(ofReplica).hasSizeGreaterThan(2);
            }
        }
        assertThat(valid).as("all but the three bad ones").hasSize(ROWS - 3).doesNotHaveDuplicates();
    }

    @Test
    void aGroupLooksForTheRowsOfAFilterTogetherAndDealsThemToReplicas() throws InterruptedException {
        List<List<Long>> ids = new ArrayList<>();
        for (Object read : Ranks.run(4, List.class, group -> {
            List<Long> own = new ArrayList<>();
            try (var loader = DataLoader.of(images)
                    .columns("id")
                    .filter("id % 3 = 1")
                    .sampler(new DistributedSampler(new RandomSampler(), Uneven.PAD))
                    .batchSize(4)
                    .replication(2)
                    .group(group)
                    .open()) {
                loader.forEach(batch -> Arrays.stream(batch.get("id").toLongs()).forEach(own::add));
            }
            return own;
        })) {
            ids.add(((List<?>) read).stream().map(Long.class::cast).toList());
        }
        assertThat(ids.get(1)).isEqualTo(ids.get(0));
        assertThat(ids.get(3)).isEqualTo(ids.get(2));
        List<Long> all = new ArrayList<>(ids.get(0));
        all.addAll(ids.get(2));
        assertThat(all).hasSize(30).allMatch(id -> id % 3 == 1);
        assertThat(Set.copyOf(all)).hasSize(29);
    }

    /** Tensor and pipeline parallelism of 2 each in a world of 8, pipeline stages outermost, as Megatron numbers them. */
    @Test
    void anyLayoutIsSaidByTheRankAmongTheReplicas() throws InterruptedException {
        List<List<Long>> ids = new ArrayList<>();
        for (Object read : Ranks.run(8, List.class, group -> {
            List<Long> own = new ArrayList<>();
            try (var loader = rows(new RandomSampler(), group.rank() / 2 % 2, 2)
                    .group(group)
                    .filter("id < 80")
                    .open()) {
                loader.forEach(batch -> Arrays.stream(batch.get("id").toLongs()).forEach(own::add));
            }
            return own;
        })) {
            ids.add(((List<?>) read).stream().map(Long.class::cast).toList());
        }
        assertThat(List.of(ids.get(1), ids.get(4), ids.get(5))).containsOnly(ids.get(0));
        assertThat(List.of(ids.get(3), ids.get(6), ids.get(7))).containsOnly(ids.get(2));
        assertThat(ids.get(0)).hasSize(40).doesNotContainAnyElementsOf(ids.get(2));
    }

    /** 3 replicas of 2 ranks are stopped; 2 replicas of 1, then 1 of 4 go on. */
    @Test
    void aRunGoesOnWithOtherReplicasWithoutLosingOrRepeatingASample() {
        List<Long> seen = new ArrayList<>();
        LoaderState state = null;
        for (int[] world : new int[][] {{6, 2, 2}, {2, 1, 3}, {4, 4, Integer.MAX_VALUE}}) {
            LoaderState next = null;
            for (int rank = 0; rank < world[0]; rank++) {
                var builder = rows(new BatchSampler(new RandomSampler(), Uneven.JOIN), rank, world[0])
                        .replication(world[1]);
                try (var loader = state == null
                        ? builder.open()
                        : builder.resumeFrom(state).open()) {
                    Iterator<Batch> batches = loader.iterator();
                    for (int step = 0; step < world[2] && batches.hasNext(); step++) {
                        Batch batch = batches.next();
                        if (rank % world[1] == 0) {
                            long[] ids = batch.get("id").toLongs();
                            for (int row = 0; row < batch.validRows(); row++) {
                                seen.add(ids[row]);
                            }
                        }
                    }
                    assertThat(loader.state()).as("all ranks").isEqualTo(next == null ? loader.state() : next);
                    next = loader.state();
                }
            }
            state = next;
        }
        assertThat(seen).hasSize(ROWS).doesNotHaveDuplicates();
    }

    @Test
    void oneRankOfAReplicaAddsToTheCache() {
        String uri = folder.resolve("cache.lance").toString();
        try (var good = TestImages.grays(folder.resolve("good.lance"), 40, 20, Set.of())) {
            List<DataLoader> ranks = new ArrayList<>();
            List<List<List<Byte>>> read = new ArrayList<>();
            for (int rank = 0; rank < 2; rank++) {
                ranks.add(DataLoader.of(good)
                        .image("image", ImageTransform.resize(6, 6))
                        .cache(uri, java.util.Map.of())
                        .batchSize(8)
                        .rank(rank, 2)
                        .replication(2)
                        .open());
            }
            for (int epoch = 0; epoch < 2; epoch++) {
                for (DataLoader rank : ranks) {
                    read.add(bytes(rank, Integer.MAX_VALUE));
                }
            }
            ranks.forEach(DataLoader::close);
            assertThat(read).containsOnly(read.getFirst());
        }
        try (var cache = LanceDataset.open(uri)) {
            assertThat(cache.countRows()).isEqualTo(40);
        }
    }

    @Test
    void whatDoesNotDivideTheRanksIsRefused() {
        for (int replication : new int[] {-1, 0, 3, 8}) {
            assertThatThrownBy(() -> rows(new RandomSampler(), 0, 4)
                            .replication(replication)
                            .open())
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContainingAll("replication of " + replication, "world of 4 ranks");
        }
        for (int rank : new int[] {-1, 4, 5}) {
            assertThatThrownBy(() ->
                            rows(new RandomSampler(), rank, 4).replication(2).open())
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("rank " + rank + " of a world of 4");
        }
    }
}
