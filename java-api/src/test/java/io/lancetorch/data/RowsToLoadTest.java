package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.distributed.Ranks;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class RowsToLoadTest {
    private static final int ROWS = 200;

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        dataset = TestImages.grays(folder.resolve("data.lance"), ROWS, 30, Set.of());
    }

    @AfterAll
    static void closeDataset() {
        dataset.close();
    }

    private static DataLoader.Builder loader() {
        return DataLoader.of(dataset).columns("id").batchSize(8);
    }

    private static List<Long> validIds(DataLoader loader) {
        List<Long> ids = new ArrayList<>();
        for (Batch batch : loader) {
            long[] values = batch.get("id").toLongs();
            for (int row = 0; row < values.length; row++) {
                if (batch.isValid(row)) {
                    ids.add(values[row]);
                }
            }
        }
        return ids;
    }

    private static Long[] matching() {
        return LongStream.range(0, ROWS).filter(id -> id % 3 == 1).boxed().toArray(Long[]::new);
    }

    @Test
    void filterLeavesTheMatchingRows() {
        try (var loader = loader().filter("id % 3 = 1").open()) {
            assertThat(validIds(loader)).containsExactly(matching());
        }
    }

    @Test
    void everySamplerDealsTheMatchingRowsToTheRanks() {
        for (Sampler sampler : List.of(
                new ShardedBatchSampler(),
                new ShardedFragmentSampler(),
                new DistributedSampler(),
                new BatchSampler(new RandomSampler(), Uneven.PAD))) {
            for (int world : new int[] {1, 2, 5, 80}) {
                List<Long> all = new ArrayList<>();
                int steps = -1;
                for (int rank = 0; rank < world; rank++) {
                    try (var loader = loader().filter("id % 3 = 1")
                            .sampler(sampler)
                            .rank(rank, world)
                            .open()) {
                        assertThat(steps).isIn(-1, loader.steps());
                        steps = loader.steps();
                        all.addAll(validIds(loader));
                    }
                }
                assertThat(all).as("%s on %d ranks", sampler, world).containsExactlyInAnyOrder(matching());
            }
        }
    }

    @Test
    void ranksOfAGroupLookForThemTogether() throws InterruptedException {
        List<?> shares = Ranks.run(3, List.class, group -> {
            try (var loader = loader().filter("id % 3 = 1").group(group).open()) {
                return validIds(loader);
            }
        });
        List<Object> all = new ArrayList<>();
        shares.forEach(share -> all.addAll((List<?>) share));
        assertThat(all).containsExactlyInAnyOrder((Object[]) matching());
    }

    @Test
    void filterThatIsWrongIsAnErrorOnEveryRankOfAGroup() throws InterruptedException {
        List<Object> outcomes = Ranks.outcomes(3, Duration.ofSeconds(20), group -> {
            try (var loader = loader().filter("nope = 1").group(group).open()) {
                return loader.steps();
            }
        });
        assertThat(outcomes).allSatisfy(outcome -> assertThat(outcome).isInstanceOf(LanceTorchException.class));
        assertThat(outcomes).anySatisfy(outcome -> assertThat(outcome).isInstanceOf(InvalidArgumentException.class));
    }

    @Test
    void filterThatMatchesNothingIsAnEpochWithoutSteps() throws InterruptedException {
        for (int rank = 0; rank < 2; rank++) {
            try (var loader = loader().filter("id > 1000").rank(rank, 2).open()) {
                assertThat(loader.steps()).isZero();
                assertThat(validIds(loader)).isEmpty();
            }
        }
        assertThat(Ranks.run(2, Integer.class, group -> {
                    try (var loader = loader().filter("id > 1000").group(group).open()) {
                        return loader.steps();
                    }
                }))
                .containsExactly(0, 0);
    }

    @Test
    void wrongFilterIsRefusedAtOpen() {
        assertThatThrownBy(() -> loader().filter("nope = 1").open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("nope");
        assertThatThrownBy(() -> loader().filter("id <").open()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> loader().filter("id < 3")
                        .rows(RowSelection.of(List.of(new RowRange(0, 0, 1))))
                        .open())
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void samplesAreARandomSubsetThatTheSeedFixes() {
        List<Long> first;
        try (var loader = loader().samples(50).seed(1).open()) {
            first = validIds(loader);
            assertThat(first).hasSize(50).doesNotHaveDuplicates().isSorted();
            loader.setEpoch(9);
            assertThat(validIds(loader)).isEqualTo(first);
        }
        try (var loader = loader().samples(50).seed(2).open()) {
            assertThat(validIds(loader)).hasSize(50).isNotEqualTo(first);
        }
        try (var loader = loader().samples(1000).open()) {
            assertThat(validIds(loader)).hasSize(ROWS);
        }
        try (var loader = loader().samples(0).open()) {
            assertThat(loader.steps()).isZero();
        }
    }

    @Test
    void samplesOfAFilterMatchIt() {
        try (var loader = loader().filter("id % 3 = 1").samples(20).open()) {
            assertThat(validIds(loader)).hasSize(20).doesNotHaveDuplicates().isSubsetOf(Arrays.asList(matching()));
        }
    }

    @Test
    void rowsThatAreNamedAreLoaded() {
        var rows = RowSelection.of(List.of(new RowRange(1, 3, 6), new RowRange(3, 0, 2)));
        try (var loader = loader().rows(rows).open()) {
            assertThat(validIds(loader)).containsExactly(33L, 34L, 35L, 90L, 91L);
        }
    }

    @Test
    void fewerRowsThanRanksAreStillEqualSteps() {
        for (int rank = 0; rank < 8; rank++) {
            try (var loader = loader().filter("id < 3")
                    .sampler(new DistributedSampler())
                    .rank(rank, 8)
                    .open()) {
                assertThat(loader.steps()).isEqualTo(1);
                assertThat(validIds(loader)).hasSize(rank < 3 ? 1 : 0);
            }
        }
    }
}
