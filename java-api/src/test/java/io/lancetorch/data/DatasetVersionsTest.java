package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.NotFoundException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.TestData;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A loader reads the version that its dataset is pinned to, whatever is written meanwhile. */
@Timeout(60)
class DatasetVersionsTest {
    @TempDir
    private Path folder;

    private static List<Long> rest(Iterator<Batch> batches) {
        List<Long> ids = new ArrayList<>();
        while (batches.hasNext()) {
            for (long id : batches.next().get("id").toLongs()) {
                ids.add(id);
            }
        }
        return ids;
    }

    @Test
    void datasetThatIsOverwrittenWhileItIsReadGoesOn() {
        Path path = folder.resolve("data.lance");
        try (var dataset = TestImages.grays(path, 200, 30, Set.of());
                var loader = DataLoader.of(dataset)
                        .image("image", ImageTransform.resize(8, 8))
                        .batchSize(5)
                        .open()) {
            Iterator<Batch> batches = loader.iterator();
            batches.next();
            try (var writer = LanceWriter.to(path.toString(), Schema.of(Field.float32("other")))
                    .mode(LanceWriter.Mode.OVERWRITE)
                    .open()) {
                writer.append(1f);
                writer.finish();
            }
            assertThat(rest(batches)).isEqualTo(LongStream.range(5, 200).boxed().toList());
            assertThat(rest(loader.iterator())).as("and so does the next epoch").hasSize(200);
            try (var latest = LanceDataset.open(path.toString());
                    var other = DataLoader.of(latest).open()) {
                assertThat(other.iterator().next().get("other").toFloats()).containsExactly(1f);
            }
            try (var old = LanceDataset.openVersion(path.toString(), Map.of(), dataset.version());
                    var again = DataLoader.of(old).columns("id").open()) {
                assertThat(rest(again.iterator())).hasSize(200);
            }
        }
    }

    @Test
    void rowsThatAreAppendedLaterAreNotSeen() {
        Path path = folder.resolve("data.lance");
        try (var dataset = TestImages.grays(path, 20, 30, Set.of());
                var loader = DataLoader.of(dataset).columns("id").open()) {
            try (var writer = LanceWriter.to(path.toString(), Schema.of(Field.int64("id"), Field.binary("image")))
                    .mode(LanceWriter.Mode.APPEND)
                    .open()) {
                writer.append(99L, TestImages.gray(1));
                writer.finish();
            }
            assertThat(rest(loader.iterator())).hasSize(20);
            try (var latest = LanceDataset.open(path.toString());
                    var all = DataLoader.of(latest).columns("id").open()) {
                assertThat(rest(all.iterator())).hasSize(21).endsWith(99L);
            }
        }
    }

    @Test
    void columnThatALaterVersionAddsIsThereInThatVersionAlone() {
        String uri = TestData.resource("lance/python-evolved.lance").toString();
        try (var latest = LanceDataset.open(uri);
                var loader = DataLoader.of(latest)
                        .columns("twice", "id")
                        .batchSize(9)
                        .open()) {
            long rows = 0;
            for (Batch batch : loader) {
                long[] ids = batch.get("id").toLongs();
                long[] twice = batch.get("twice").toLongs();
                for (int row = 0; row < ids.length; row++, rows++) {
                    assertThat(twice[row]).isEqualTo(2 * ids[row]);
                }
            }
            assertThat(rows).isEqualTo(53);
        }
        try (var before = LanceDataset.openVersion(uri, Map.of(), 5)) {
            assertThat(before.countRows()).isEqualTo(60);
            assertThatThrownBy(() -> DataLoader.of(before).columns("twice").open())
                    .isInstanceOf(NotFoundException.class)
                    .hasMessageContaining("twice");
        }
    }
}
