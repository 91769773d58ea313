package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.Schema;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Orders that are written, read by other processes, and refused for another dataset. */
@Timeout(60)
class PersistedOrderTest {
    private static final Schema IDS = Schema.of(Field.int64("id"));

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        write("rows.lance", LanceWriter.Mode.CREATE, 60, 25);
        dataset = LanceDataset.open(uri("rows.lance"));
        assertThat(dataset.fragments()).hasSize(3);
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    private static String uri(String name) {
        return folder.resolve(name).toString();
    }

    private static void write(String name, LanceWriter.Mode mode, int rows, int rowsPerFile) {
        try (var writer = LanceWriter.to(uri(name), IDS)
                .mode(mode)
                .maxRowsPerFile(rowsPerFile)
                .open()) {
            for (long id = 0; id < rows; id++) {
                writer.append(id);
            }
            writer.finish();
        }
    }

    private static List<Long> ids(LanceDataset of, Sampler sampler, long seed, int rank, int world) {
        List<Long> ids = new ArrayList<>();
        try (var loader = DataLoader.of(of)
                .sampler(sampler)
                .seed(seed)
                .batchSize(7)
                .rank(rank, world)
                .open()) {
            loader.setEpoch(4);
            for (Batch batch : loader) {
                long[] values = batch.get("id").toLongs();
                for (int row = 0; row < batch.validRows(); row++) {
                    ids.add(values[row]);
                }
            }
        }
        return ids;
    }

    @Test
    void everyKindOfOrderIsReadAsItWasSaved() {
        for (SamplerCase cell : SamplerCase.all()) {
            if (cell.deal().uneven() == Uneven.JOIN) {
                Sampler sampler = cell.sampler(dataset.fragments());
                String uri = uri(cell.toString().replaceAll("[ ,]+", "-") + ".lance");
                PersistedOrder.save(uri, Map.of(), dataset, sampler, 5, 4, 7);
                PersistedOrder order = PersistedOrder.open(uri, Map.of(), dataset);
                assertThat(ids(dataset, order, 99, 0, 1)).as(cell.toString()).isEqualTo(ids(dataset, sampler, 5, 0, 1));
            }
        }
    }

    @Test
    void ranksShareAnOrderOfAFilterASplitAndClumps() {
        String uri = uri("shared.lance");
        var rows = new SubsetSampler(dataset.select("id % 20 < 9"), RandomSampler.inClumps(3));
        PersistedOrder.save(uri, Map.of(), dataset, rows, 1, 0, 32);
        try (LanceDataset file = LanceDataset.open(uri)) {
            assertThat(file.countRows()).as("ranges of 27 rows in clumps of 3").isLessThanOrEqualTo(9);
        }
        PersistedOrder order = PersistedOrder.open(uri, Map.of(), dataset);
        assertThat(order).hasToString("PersistedOrder[" + uri + ", 27 rows]");
        List<Long> alone = ids(dataset, order, 0, 0, 1);
        assertThat(alone).hasSize(27).doesNotHaveDuplicates().allMatch(id -> id % 20 < 9);
        List<Long> ofRanks = new ArrayList<>();
        for (int rank = 0; rank < 3; rank++) {
            ofRanks.addAll(ids(dataset, new BatchSampler(order, Uneven.JOIN), rank, rank, 3));
        }
        assertThat(ofRanks).containsExactlyInAnyOrderElementsOf(alone);
    }

    @Test
    void repeatedRowsAndEmptyOrdersAreKept() {
        PersistedOrder.save(uri("repeated.lance"), Map.of(), dataset, new RandomSampler(false, 150), 1, 0, 32);
        assertThat(ids(dataset, PersistedOrder.open(uri("repeated.lance"), Map.of(), dataset), 0, 0, 1))
                .hasSize(150);
        var none = new SubsetSampler(List.<RowRange>of(), new RandomSampler());
        PersistedOrder.save(uri("none.lance"), Map.of(), dataset, none, 1, 0, 32);
        assertThat(ids(dataset, PersistedOrder.open(uri("none.lance"), Map.of(), dataset), 0, 0, 1))
                .isEmpty();
    }

    @Test
    void orderForAnotherVersionOrOtherRowsIsRefusedNamingBoth() {
        write("growing.lance", LanceWriter.Mode.CREATE, 10, 10);
        String order = uri("growing-order.lance");
        try (LanceDataset first = LanceDataset.open(uri("growing.lance"))) {
            PersistedOrder.save(order, Map.of(), first, new RandomSampler(), 0, 0, 4);
            write("growing.lance", LanceWriter.Mode.APPEND, 10, 10);
            try (LanceDataset second = LanceDataset.open(uri("growing.lance"))) {
                assertThatThrownBy(() -> PersistedOrder.open(order, Map.of(), second))
                        .isInstanceOf(InvalidArgumentException.class)
                        .hasMessageContainingAll("version " + first.version(), "version " + second.version());
            }
            assertThat(ids(first, PersistedOrder.open(order, Map.of(), first), 0, 0, 1))
                    .hasSize(10);
        }
        write("other.lance", LanceWriter.Mode.CREATE, 11, 10);
        try (LanceDataset other = LanceDataset.open(uri("other.lance"))) {
            assertThatThrownBy(() -> PersistedOrder.open(order, Map.of(), other))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContainingAll("row count 10", "row count 11");
        }
    }

    @Test
    void whatIsNoOrderIsRefused() {
        assertThatThrownBy(() -> PersistedOrder.open(uri("rows.lance"), Map.of(), dataset))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContainingAll("rows.lance", "[id]");
        assertThatThrownBy(() -> PersistedOrder.open(uri("nowhere.lance"), Map.of(), dataset))
                .isInstanceOf(LanceTorchException.class);
        PersistedOrder.save(uri("whole.lance"), Map.of(), dataset, new RandomSampler(), 0, 0, 32);
        PersistedOrder order = PersistedOrder.open(uri("whole.lance"), Map.of(), dataset);
        var subset = new SubsetSampler(List.of(new RowRange(0, 0, 5)), order);
        assertThatThrownBy(() -> ids(dataset, subset, 0, 0, 1))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("60 rows", "5 of them");
        Schema pinned;
        try (LanceDataset file = LanceDataset.open(uri("whole.lance"))) {
            pinned = file.schema();
        }
        try (var writer = LanceWriter.to(uri("beyond.lance"), pinned).open()) {
            writer.append(0L, 4L);
            writer.append(58L, 61L);
            writer.finish();
        }
        assertThatThrownBy(() -> PersistedOrder.open(uri("beyond.lance"), Map.of(), dataset))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContainingAll("row 1", "58 to 61", "60 rows");
    }

    @Test
    void orderThatIsThereIsNotOverwritten() {
        PersistedOrder.save(uri("kept.lance"), Map.of(), dataset, new SequentialSampler(), 0, 0, 32);
        assertThatThrownBy(
                        () -> PersistedOrder.save(uri("kept.lance"), Map.of(), dataset, new RandomSampler(), 0, 0, 32))
                .isInstanceOf(LanceTorchException.class);
        assertThat(ids(dataset, PersistedOrder.open(uri("kept.lance"), Map.of(), dataset), 0, 0, 1))
                .startsWith(0L, 1L, 2L)
                .hasSize(60);
    }
}
