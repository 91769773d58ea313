package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.TestData;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every cell of the README's table: any sampler, read in any style, by any number of threads, on any number of ranks, over
 * fragments of very different sizes, with deleted rows. The rows are told by their row ids.
 */
@Timeout(120)
class LoaderCombinationsTest {
    @TempDir
    private static Path folder;

    /** Fragments of 16, 20, 16 and 1 rows that are left of more; made by Python. */
    private static LanceDataset deletions;

    /** Fragments of 1, 37, 2 and 23 rows, with images. */
    private static LanceDataset images;

    @BeforeAll
    static void open() {
        deletions = LanceDataset.open(
                TestData.resource("lance/python-evolved.lance").toString());
        String uri = folder.resolve("images.lance").toString();
        Schema schema = Schema.of(Field.int64("id"), Field.binary("image"));
        int id = 0;
        for (int rows : new int[] {1, 37, 2, 23}) {
            try (var writer = LanceWriter.to(uri, schema)
                    .mode(id == 0 ? LanceWriter.Mode.CREATE : LanceWriter.Mode.APPEND)
                    .open()) {
                for (int i = 0; i < rows; i++, id++) {
                    writer.append((long) id, TestImages.gray(3 * id));
                }
                writer.finish();
            }
        }
        images = LanceDataset.open(uri);
        assertThat(images.fragments()).hasSize(4);
    }

    @AfterAll
    static void close() {
        deletions.close();
        images.close();
    }

    /** A way to deal rows, and how often it gives each row as a valid one: exactly once, at most once, or as drawn. */
    private record Dealing(String name, Sampler sampler, Expected expected) {
        @Override
        public String toString() {
            return name;
        }
    }

    private enum Expected {
        EACH_ONCE,
        AT_MOST_ONCE,
        EACH_ONCE_ON_EVERY_RANK,
        DRAWN
    }

    private static Stream<Dealing> dealings() {
        double[] weights = new double[63];
        Arrays.setAll(weights, row -> row % 3);
        return Stream.of(
                new Dealing("full scan", new FullScanSampler(true), Expected.EACH_ONCE_ON_EVERY_RANK),
                new Dealing("sharded fragment, pad", new ShardedFragmentSampler(true, Uneven.PAD), Expected.EACH_ONCE),
                new Dealing(
                        "sharded fragment, drop", new ShardedFragmentSampler(true, Uneven.DROP), Expected.AT_MOST_ONCE),
                new Dealing("sharded batch, pad", new ShardedBatchSampler(true, Uneven.PAD), Expected.EACH_ONCE),
                new Dealing("sharded batch, drop", new ShardedBatchSampler(true, Uneven.DROP), Expected.AT_MOST_ONCE),
                new Dealing("distributed, pad", new DistributedSampler(), Expected.EACH_ONCE),
                new Dealing(
                        "distributed, drop",
                        new DistributedSampler(new RandomSampler(), Uneven.DROP),
                        Expected.AT_MOST_ONCE),
                new Dealing("sequential", new SequentialSampler(), Expected.EACH_ONCE),
                new Dealing("random", new RandomSampler(), Expected.EACH_ONCE),
                new Dealing("random batches", new BatchSampler(new RandomSampler(), Uneven.PAD), Expected.EACH_ONCE),
                new Dealing("weighted", new WeightedRandomSampler(weights, 40, true), Expected.DRAWN),
                new Dealing(
                        "weighted, no replacement",
                        new WeightedRandomSampler(weights, 30, false),
                        Expected.AT_MOST_ONCE));
    }

    private static Stream<UnaryOperator<DataLoader.Builder>> styles() {
        return Stream.of(UnaryOperator.identity(), DataLoader.Builder::mapStyle, DataLoader.Builder::iterableStyle);
    }

    /** The rows of one rank's epoch, by row id, each with whether it is valid; checks that the columns belong together. */
    private record Seen(long rowId, boolean valid) {}

    private static List<List<Seen>> read(DataLoader loader, boolean withImages) {
        List<List<Seen>> steps = new ArrayList<>();
        for (Batch batch : loader) {
            long[] rowIds = batch.get("_rowid").toLongs();
            long[] ids = batch.get("id").toLongs();
            long[] pixels = withImages ? batch.get("image").toLongs() : null;
            float[] vectors = withImages ? null : batch.get("vector").toFloats();
            List<Seen> step = new ArrayList<>();
            for (int row = 0; row < batch.rows(); row++) {
                if (withImages) {
                    assertThat(pixels[row * 48 + 20]).isBetween(3 * ids[row] - 2, 3 * ids[row] + 2);
                } else {
                    assertThat(vectors[4 * row + 3]).isEqualTo(ids[row] + 0.75f);
                }
                step.add(new Seen(rowIds[row], batch.isValid(row)));
            }
            steps.add(step);
        }
        return steps;
    }

    @ParameterizedTest
    @MethodSource("dealings")
    void everyStyleThreadAndRankGivesThePlannedRows(Dealing dealing) {
        for (boolean withImages : new boolean[] {false, true}) {
            LanceDataset dataset = withImages ? images : deletions;
            boolean ofSize = dealing.sampler() instanceof WeightedRandomSampler;
            if (ofSize && !withImages) {
                continue;
            }
            for (int world : new int[] {1, 2, 3, 16}) {
                Map<Long, Integer> valid = new HashMap<>();
                int stepsOfAll = -1;
                for (int rank = 0; rank < world; rank++) {
                    List<List<Seen>> first = null;
                    for (var style : styles().toList()) {
                        int threads = first == null ? 1 : 2 + 3 * rank % 7;
                        try (var loader = loader(style, dataset, withImages)
                                .sampler(dealing.sampler())
                                .rank(rank, world)
                                .decodeThreads(threads)
                                .open()) {
                            loader.setEpoch(2);
                            List<List<Seen>> steps = read(loader, withImages);
                            assertThat(steps)
                                    .as("%s, rank %d of %d: the style changes nothing", dealing, rank, world)
                                    .isEqualTo(first == null ? steps : first);
                            first = steps;
                        }
                    }
                    assertThat(stepsOfAll).isIn(-1, first.size());
                    stepsOfAll = first.size();
                    Map<Long, Integer> ofRank = new HashMap<>();
                    first.stream()
                            .flatMap(List::stream)
                            .filter(Seen::valid)
                            .forEach(seen -> ofRank.merge(seen.rowId(), 1, Integer::sum));
                    if (dealing.expected() == Expected.EACH_ONCE_ON_EVERY_RANK) {
                        assertEachOnce(ofRank, dataset);
                    }
                    ofRank.forEach((row, count) -> valid.merge(row, count, Integer::sum));
                }
                switch (dealing.expected()) {
                    case EACH_ONCE -> assertEachOnce(valid, dataset);
                    case AT_MOST_ONCE -> assertThat(valid.values()).allMatch(count -> count == 1);
                    case DRAWN ->
                        assertThat(valid.values().stream()
                                        .mapToInt(Integer::intValue)
                                        .sum())
                                .isEqualTo(40);
                    case EACH_ONCE_ON_EVERY_RANK -> {}
                }
            }
        }
    }

    private static DataLoader.Builder loader(
            UnaryOperator<DataLoader.Builder> style, LanceDataset dataset, boolean withImages) {
        DataLoader.Builder builder =
                DataLoader.of(dataset).batchSize(5).seed(11).withRowId();
        if (withImages) {
            builder.image("image", ImageTransform.resize(4, 4).uint8());
        }
        return style.apply(builder);
    }

    private static void assertEachOnce(Map<Long, Integer> seen, LanceDataset dataset) {
        assertThat(seen).hasSize((int) dataset.countRows());
        assertThat(seen.values()).allMatch(count -> count == 1);
    }
}
