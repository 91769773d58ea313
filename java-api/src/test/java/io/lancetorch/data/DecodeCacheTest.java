package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.TestImages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class DecodeCacheTest {
    private static final int ROWS = 100;
    private static final ImageTransform BYTES = ImageTransform.resize(8, 8).uint8();
    private static final ImageTransform FLOATS =
            ImageTransform.resize(8, 8).normalize(new float[] {0.5f, 0.4f, 0.3f}, new float[] {0.2f, 0.3f, 0.4f});

    @TempDir
    private Path folder;

    private LanceDataset dataset;

    @BeforeEach
    void write() {
        dataset = TestImages.grays(folder.resolve("photos.lance"), ROWS, 30, Set.of());
    }

    @AfterEach
    void closeDataset() {
        dataset.close();
    }

    private DataLoader.Builder loader(ImageTransform transform) {
        return DataLoader.of(dataset)
                .image("image", transform)
                .sampler(new ShardedBatchSampler())
                .seed(5)
                .batchSize(16);
    }

    /** Ids and pixels of an epoch. */
    private record Row(long id, List<Float> pixels) {}

    private static List<Row> epoch(DataLoader loader, int epoch) {
        loader.setEpoch(epoch);
        List<Row> rows = new ArrayList<>();
        for (Batch batch : loader) {
            long[] ids = batch.get("id").toLongs();
            float[] values = batch.get("image").toFloats();
            for (int row = 0; row < batch.rows(); row++) {
                List<Float> pixels = new ArrayList<>();
                for (float value : Arrays.copyOfRange(values, row * 192, (row + 1) * 192)) {
                    pixels.add(value);
                }
                rows.add(new Row(ids[row], pixels));
            }
        }
        return rows;
    }

    private static Path cacheOf(LanceDataset dataset) {
        return Path.of(dataset.uri().replace("photos.lance", "photos.cache.lance"));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void laterEpochsAreTheSameWithoutDecoding(boolean bytes) {
        ImageTransform transform = bytes ? BYTES : FLOATS;
        try (var plain = loader(transform).open();
                var cached = loader(transform).cache().open()) {
            for (int epoch = 0; epoch < 4; epoch++) {
                assertThat(epoch(cached, epoch)).isEqualTo(epoch(plain, epoch));
            }
            assertThat(cacheOf(dataset)).isDirectory();
        }
        try (var kept = LanceDataset.open(cacheOf(dataset).toString())) {
            assertThat(kept.countRows()).isEqualTo(ROWS);
            assertThat(kept.schema().names()).containsExactly("source_row", "image");
        }
    }

    @Test
    void bytesFromTheCacheAliasItsMemory() {
        try (var loader = loader(BYTES).cache().open()) {
            epoch(loader, 0);
            loader.setEpoch(1);
            Iterator<Batch> batches = loader.iterator();
            Batch batch = batches.next();
            assertThat(batch.get("image").strides()).as("channels-last").containsExactly(192, 1, 24, 3);
            assertThat(Lance.liveBytes()).isGreaterThanOrEqualTo(16 * 192);
            assertThat(loader.stats().decodeNanos()).isEqualTo(decodeNanosAfter(loader, batches));
        }
    }

    /** Takes what is left of an epoch. */
    private static long decodeNanosAfter(DataLoader loader, Iterator<Batch> batches) {
        while (batches.hasNext()) {
            batches.next();
        }
        return loader.stats().decodeNanos();
    }

    @Test
    void rowIdsComeBesideCachedImages() {
        try (var loader = loader(BYTES).columns("image").withRowId().cache().open()) {
            for (int epoch = 0; epoch < 2; epoch++) {
                for (Batch batch : loader) {
                    assertThat(batch.tensors().keySet()).containsExactly("image", "_rowid");
                    long[] rowIds = batch.get("_rowid").toLongs();
                    float[] pixels = batch.get("image").toFloats();
                    for (int row = 0; row < batch.rows(); row++) {
                        long id = (rowIds[row] >>> 32) * 30 + (rowIds[row] & 0xffff);
                        assertThat(pixels[192 * row]).isBetween(id - 2f, id + 2f);
                    }
                }
            }
        }
    }

    @Test
    void laterRunsReadItToo() {
        List<Row> first;
        try (var loader = loader(BYTES).cache().open()) {
            first = epoch(loader, 0);
        }
        try (var loader = loader(BYTES).cache().open()) {
            assertThat(epoch(loader, 0)).isEqualTo(first);
            assertThat(loader.stats().decodeNanos()).isZero();
        }
    }

    @Test
    void anySamplerReadsIt() {
        try (var loader = loader(BYTES).cache().open()) {
            epoch(loader, 0);
        }
        for (Sampler sampler : List.of(
                new FullScanSampler(true),
                new ShardedFragmentSampler(),
                new DistributedSampler(),
                new ShardedBatchSampler(true, Uneven.DROP))) {
            try (var plain = loader(BYTES).sampler(sampler).batchSize(7).open();
                    var cached =
                            loader(BYTES).sampler(sampler).batchSize(7).cache().open()) {
                assertThat(epoch(cached, 3)).isEqualTo(epoch(plain, 3));
                assertThat(cached.stats().decodeNanos()).isZero();
            }
        }
    }

    @Test
    void epochThatIsNotReadToItsEndKeepsNothing() {
        try (var loader = loader(BYTES).cache().open()) {
            Iterator<Batch> batches = loader.iterator();
            batches.next();
        }
        try (var kept = LanceDataset.open(cacheOf(dataset).toString())) {
            assertThat(kept.countRows()).isZero();
        }
    }

    @Test
    void ranksAtOnceFillItTogether() throws Exception {
        int world = 3;
        try (var threads = Executors.newFixedThreadPool(world)) {
            List<Future<?>> ranks = new ArrayList<>();
            for (int rank = 0; rank < world; rank++) {
                int own = rank;
                ranks.add(threads.submit(() -> {
                    try (var loader = loader(BYTES).rank(own, world).cache().open()) {
                        epoch(loader, 0);
                    }
                }));
            }
            for (Future<?> rank : ranks) {
                rank.get();
            }
        }
        try (var kept = LanceDataset.open(cacheOf(dataset).toString())) {
            assertThat(kept.countRows()).isEqualTo(ROWS);
        }
        try (var plain = loader(BYTES).rank(1, 2).open();
                var cached = loader(BYTES).rank(1, 2).cache().open()) {
            assertThat(epoch(cached, 1)).isEqualTo(epoch(plain, 1));
            assertThat(cached.stats().decodeNanos()).isZero();
        }
    }

    @Test
    void badRowsAreNotKept() {
        try (var bad = TestImages.grays(folder.resolve("bad.lance"), 40, 30, Set.of(7));
                var loader = DataLoader.of(bad)
                        .image("image", BYTES)
                        .badRows(BadRows.SUBSTITUTE)
                        .batchSize(10)
                        .cache(folder.resolve("bad.cache").toString(), Map.of())
                        .open()) {
            for (int epoch = 0; epoch < 3; epoch++) {
                assertThat(epoch(loader, epoch)).hasSize(40);
            }
            assertThat(loader.stats().badRows()).isEqualTo(3);
            try (var kept = LanceDataset.open(folder.resolve("bad.cache").toString())) {
                assertThat(kept.countRows()).isEqualTo(39);
            }
        }
    }

    @Test
    void whatCannotBeCachedIsRefused() {
        assertThatThrownBy(() ->
                        loader(ImageTransform.randomResizedCrop(8, 8)).cache().open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("image", "randomResizedCrop");
        assertThatThrownBy(() -> DataLoader.of(dataset).columns("id").cache().open())
                .isInstanceOf(InvalidArgumentException.class);
        loader(BYTES).cache().open().close();
        assertThatThrownBy(() ->
                        loader(ImageTransform.resize(9, 9).uint8()).cache().open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("resize(8, 8)", "resize(9, 9)", "remove it");
        assertThatThrownBy(() -> loader(BYTES).cache(dataset.uri(), Map.of()).open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("something else");
    }

    @Test
    void substitutesHaveTheSamePixelsAsWithoutACache() {
        try (var bad = TestImages.grays(folder.resolve("bad.lance"), 40, 30, Set.of(7))) {
            var setup = DataLoader.of(bad)
                    .image("image", FLOATS)
                    .badRows(BadRows.SUBSTITUTE)
                    .batchSize(10);
            List<Row> plain;
            try (var loader = setup.open()) {
                plain = epoch(loader, 0);
            }
            try (var loader = setup.cache().open()) {
                assertThat(epoch(loader, 0)).isEqualTo(plain);
                assertThat(epoch(loader, 1)).isEqualTo(plain);
            }
        }
    }

    @Test
    void epochWhoseStepsAreAllTakenIsKept() {
        try (var loader = loader(BYTES).cache().open()) {
            Iterator<Batch> batches = loader.iterator();
            for (int step = 0; step < loader.steps(); step++) {
                batches.next();
            }
        }
        try (var kept = LanceDataset.open(cacheOf(dataset).toString())) {
            assertThat(kept.countRows()).isEqualTo(ROWS);
        }
    }

    @Test
    void iterationsOfManyThreadsAtOnceGiveTheSameRows() throws Exception {
        try (var plain = loader(BYTES).open();
                var cached = loader(BYTES).cache().open();
                var threads = Executors.newFixedThreadPool(4)) {
            List<Row> expected = epoch(plain, 0);
            for (int round = 0; round < 10; round++) {
                List<Future<?>> all = new ArrayList<>();
                for (int i = 0; i < 4; i++) {
                    all.add(threads.submit(() -> assertThat(epoch(cached, 0)).isEqualTo(expected)));
                }
                for (Future<?> one : all) {
                    one.get();
                }
            }
        }
        try (var kept = LanceDataset.open(cacheOf(dataset).toString())) {
            assertThat(kept.countRows()).isEqualTo(ROWS);
        }
    }

    @Test
    void datasetThatWasWrittenAnewAtTheSamePlaceDoesNotReadTheOldPixels() throws IOException {
        Path path = folder.resolve("again.lance");
        Map<String, String> none = Map.of();
        String cache = folder.resolve("again.cache").toString();
        try (var first = TestImages.grays(path, 20, 30, Set.of());
                var loader = DataLoader.of(first)
                        .image("image", BYTES)
                        .cache(cache, none)
                        .open()) {
            epoch(loader, 0);
        }
        try (var files = Files.walk(path)) {
            files.sorted(Comparator.reverseOrder())
                    .forEach(file -> file.toFile().delete());
        }
        try (var writer = LanceWriter.to(path.toString(), Schema.of(Field.int64("id"), Field.binary("image")))
                .open()) {
            for (int i = 0; i < 20; i++) {
                writer.append((long) i, TestImages.gray(100 + i));
            }
            writer.finish();
        }
        try (var second = LanceDataset.open(path.toString())) {
            assertThat(second.version()).isEqualTo(1);
            assertThatThrownBy(() -> DataLoader.of(second)
                            .image("image", BYTES)
                            .cache(cache, none)
                            .open())
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("remove it");
        }
    }
}
