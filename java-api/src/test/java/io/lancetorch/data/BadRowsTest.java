package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class BadRowsTest {
    private static final int ROWS = 100;
    private static final Set<Integer> BAD = Set.of(3, 17, 18, 40, 99);

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        dataset = TestImages.grays(folder.resolve("bad.lance"), ROWS, 30, BAD);
    }

    @AfterAll
    static void closeDataset() {
        dataset.close();
    }

    private static DataLoader.Builder loader() {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(8, 8).uint8())
                .batchSize(16)
                .withRowId();
    }

    /** Id, gray of the image, and whether it is valid, of every row that comes; checks that they belong together. */
    private record Seen(long id, long gray, boolean valid) {}

    private static List<Seen> read(DataLoader loader) {
        List<Seen> all = new ArrayList<>();
        for (Batch batch : loader) {
            long[] ids = batch.get("id").toLongs();
            long[] rowIds = batch.get("_rowid").toLongs();
            long[] pixels = batch.get("image").toLongs();
            for (int row = 0; row < batch.rows(); row++) {
                assertThat(rowIds[row]).isEqualTo(ids[row] / 30 << 32 | ids[row] % 30);
                all.add(new Seen(ids[row], pixels[row * 192 + 70], batch.isValid(row)));
            }
        }
        return all;
    }

    @Test
    void failNamesRowAndFragment() {
        try (var loader = loader().open()) {
            assertThatThrownBy(() -> read(loader))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("step 0", "column image", "fragment 0, row 3");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 8})
    void skipPutsAnotherRowInItsPlaceAndTheBatchIsFull(int threads) {
        try (var loader = loader().badRows(BadRows.SKIP).decodeThreads(threads).open()) {
            List<Seen> all = read(loader);
            assertThat(all).hasSize(ROWS);
            for (int i = 0; i < ROWS; i++) {
                Seen seen = all.get(i);
                assertThat(seen.valid()).as("row %d", i).isEqualTo(!BAD.contains(i));
                assertThat(seen.gray()).as("the image belongs to its row").isBetween(seen.id() - 2, seen.id() + 2);
                assertThat(BAD).doesNotContain((int) seen.id());
                if (seen.valid()) {
                    assertThat(seen.id()).isEqualTo(i);
                }
            }
            assertThat(read(loader)).as("the same rows once more").isEqualTo(all);
        }
    }

    @Test
    void substituteKeepsTheRowWithAnImageOfZeros() {
        try (var loader = loader().badRows(BadRows.SUBSTITUTE).open()) {
            List<Seen> all = read(loader);
            assertThat(all).hasSize(ROWS);
            for (int i = 0; i < ROWS; i++) {
                assertThat(all.get(i).id()).isEqualTo(i);
                assertThat(all.get(i).valid()).isEqualTo(!BAD.contains(i));
                if (BAD.contains(i)) {
                    assertThat(all.get(i).gray()).isZero();
                } else {
                    assertThat(all.get(i).gray()).isBetween(i - 2L, i + 2L);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"SKIP", "SUBSTITUTE"})
    void badRowsAreCountedAndListed(BadRows policy) {
        try (var loader = loader().badRows(policy).open()) {
            read(loader);
            assertThat(loader.stats().badRows()).isEqualTo(BAD.size());
            assertThat(loader.badRows().stream()
                            .map(row -> row.fragmentId() * 30 + row.row())
                            .collect(Collectors.toSet()))
                    .isEqualTo(BAD.stream().map(Integer::longValue).collect(Collectors.toSet()));
            assertThat(loader.badRows()).allSatisfy(row -> {
                assertThat(row.column()).isEqualTo("image");
                assertThat(row.reason()).contains("neither a JPEG nor a PNG");
            });
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"SKIP", "SUBSTITUTE"})
    void ranksKeepTheSameStepsAndEveryGoodRowIsValidOnce(BadRows policy) {
        Set<Long> valid = new HashSet<>();
        Set<Integer> steps = new HashSet<>();
        for (int rank = 0; rank < 3; rank++) {
            try (var loader = loader().badRows(policy)
                    .sampler(new ShardedBatchSampler())
                    .rank(rank, 3)
                    .open()) {
                int count = 0;
                for (Batch batch : loader) {
                    count++;
                    long[] ids = batch.get("id").toLongs();
                    for (int row = 0; row < batch.rows(); row++) {
                        if (batch.isValid(row)) {
                            assertThat(valid.add(ids[row])).isTrue();
                        }
                    }
                }
                steps.add(count);
            }
        }
        assertThat(steps).hasSize(1);
        assertThat(valid)
                .containsExactlyInAnyOrderElementsOf(IntStream.range(0, ROWS)
                        .filter(row -> !BAD.contains(row))
                        .asLongStream()
                        .boxed()
                        .toList());
    }

    @Test
    void maskIsFalseForThem() {
        try (var loader = loader().badRows(BadRows.SUBSTITUTE).batchSize(ROWS).open()) {
            Batch batch = loader.iterator().next();
            assertThat(batch.validRows()).isEqualTo(ROWS - BAD.size());
            try (var mask = batch.mask()) {
                long[] values = mask.toLongs();
                for (int row = 0; row < ROWS; row++) {
                    assertThat(values[row] == 1).isEqualTo(!BAD.contains(row));
                }
            }
        }
    }

    @Test
    void datasetWithoutAnyGoodRowIsAnErrorAndNotAnEndlessSearch() {
        try (var none = TestImages.grays(folder.resolve("none.lance"), 4, 10, Set.of(0, 1, 2, 3));
                var loader = DataLoader.of(none)
                        .image("image", ImageTransform.resize(8, 8))
                        .badRows(BadRows.SKIP)
                        .open()) {
            var batches = loader.iterator();
            assertThatThrownBy(batches::next)
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("step 0", "SUBSTITUTE");
        }
    }

    @Test
    void skipFillsABatchOfWhichHalfIsBad() {
        Set<Integer> half =
                IntStream.range(0, 80).filter(row -> row % 2 == 0).boxed().collect(Collectors.toSet());
        try (var spoiled = TestImages.grays(folder.resolve("half.lance"), 80, 30, half);
                var loader = DataLoader.of(spoiled)
                        .image("image", ImageTransform.resize(8, 8).uint8())
                        .batchSize(80)
                        .badRows(BadRows.SKIP)
                        .withRowId()
                        .open()) {
            List<Seen> all = read(loader);
            assertThat(all).hasSize(80);
            assertThat(all).allSatisfy(seen -> {
                assertThat(seen.id() % 2).isEqualTo(1);
                assertThat(seen.gray()).isBetween(seen.id() - 2, seen.id() + 2);
            });
            assertThat(read(loader)).as("the same rows once more").isEqualTo(all);
        }
    }

    @Test
    void rowThatIsBadInTwoColumnsIsOneRow() {
        String uri = folder.resolve("two.lance").toString();
        Schema schema = Schema.of(Field.int64("id"), Field.binary("image"), Field.binary("other"));
        try (var writer = LanceWriter.to(uri, schema).maxRowsPerFile(30).open()) {
            for (int i = 0; i < 60; i++) {
                writer.append(
                        (long) i,
                        i == 7 || i == 9 ? null : TestImages.gray(i),
                        i == 7 || i == 8 ? null : TestImages.gray(i + 100));
            }
            writer.finish();
        }
        try (var two = LanceDataset.open(uri);
                var loader = DataLoader.of(two)
                        .image("image", ImageTransform.resize(8, 8).uint8())
                        .image("other", ImageTransform.resize(4, 4).uint8())
                        .batchSize(20)
                        .badRows(BadRows.SKIP)
                        .withRowId()
                        .open()) {
            for (Batch batch : loader) {
                long[] ids = batch.get("id").toLongs();
                long[] images = batch.get("image").toLongs();
                long[] others = batch.get("other").toLongs();
                for (int row = 0; row < 20; row++) {
                    assertThat(images[row * 192 + 70]).isBetween(ids[row] - 2, ids[row] + 2);
                    assertThat(others[row * 48 + 17]).isBetween(ids[row] + 98, ids[row] + 102);
                    assertThat(batch.isValid(row)).isEqualTo(batch.step() > 0 || row < 7 || row > 9);
                }
            }
            assertThat(loader.badRows()).as("column by column").hasSize(4);
            assertThat(loader.stats().badRows()).isEqualTo(3);
        }
    }
}
