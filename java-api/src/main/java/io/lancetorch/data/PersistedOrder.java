package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * An epoch's order of samples that was written to a small Lance dataset, pinned to a version of the dataset whose rows it
 * orders: what a filter, a split, weights and clumps came to, to be kept, looked at, and shared by all ranks and by later runs.
 * The same in every epoch, by any seed. A row of the file is a range of rows: the columns {@code begin} and {@code end}, int64,
 * are positions in the dataset.
 *
 * <pre>{@code
 * PersistedOrder.save("epoch-0.order.lance", Map.of(), dataset,
 *         new SubsetSampler(dataset.select("label < 3"), RandomSampler.inClumps(64)), seed, 0, 32);
 * DataLoader.of(dataset).sampler(new BatchSampler(PersistedOrder.open("epoch-0.order.lance", Map.of(), dataset), Uneven.PAD))
 * }</pre>
 *
 * It has nothing open, and takes 16 bytes of heap for a range. Any thread may use it.
 */
public final class PersistedOrder implements RowSampler {
    private static final Field BEGIN = Field.int64("begin");
    private static final Field END = Field.int64("end");
    private static final String VERSION = "lancetorch.order.dataset_version";
    private static final String ROWS = "lancetorch.order.dataset_rows";
    private static final String OF = "lancetorch.order.of";
    private static final int CHUNK = 1 << 16;

    private final String uri;
    private final long datasetRows;
    // Of each range its first row in the dataset.
    private final long[] begins;
    // Of each range its first place in the order, and, last, the number of all places.
    private final long[] starts;

    private PersistedOrder(String uri, long datasetRows, long[] begins, long[] starts) {
        this.uri = uri;
        this.datasetRows = datasetRows;
        this.begins = begins;
        this.starts = starts;
    }

    /**
     * Writes the order that a sampler gives the samples of an epoch; for one process, while the others wait.
     *
     * @param uri of the order, where no dataset is yet
     * @param storageOptions for it, as in {@link LanceDataset#open(String, Map)}
     * @param dataset whose rows are ordered
     * @param batchSize rows of a step, which is part of some samplers' order
     */
    public static void save(
            String uri,
            Map<String, String> storageOptions,
            LanceDataset dataset,
            Sampler sampler,
            long seed,
            long epoch,
            int batchSize) {
        Plan plan = sampler.plan(new PlanRequest(dataset.fragments(), 1, 0, seed, epoch, batchSize, false));
        var positions = new RowPositions(dataset.fragments());
        Schema schema = Schema.of(BEGIN, END)
                .withMetadata(Map.of(
                        VERSION,
                        Long.toString(dataset.version()),
                        ROWS,
                        Long.toString(positions.total()),
                        OF,
                        dataset.uri() + ", epoch " + epoch + " by seed " + seed + ", " + sampler));
        try (LanceWriter writer = LanceWriter.to(uri, schema)
                        .storageOptions(storageOptions)
                        .open();
                Arena arena = Arena.ofConfined()) {
            var ranges = new RangeWriter(
                    writer, arena.allocate(ValueLayout.JAVA_LONG, CHUNK), arena.allocate(ValueLayout.JAVA_LONG, CHUNK));
            for (int step = 0; step < plan.steps(); step++) {
                ranges.left = plan.validRows(step);
                plan.forEachRange(step, (fragment, begin, end) -> {
                    long start = positions.of(Plan.key(fragment, begin));
                    ranges.add(start, Math.min(end - begin, ranges.left));
                });
            }
            ranges.flush();
            writer.finish();
        }
    }

    private static final class RangeWriter {
        private final LanceWriter writer;
        private final MemorySegment begins;
        private final MemorySegment ends;
        private int count;
        private long left;

        RangeWriter(LanceWriter writer, MemorySegment begins, MemorySegment ends) {
            this.writer = writer;
            this.begins = begins;
            this.ends = ends;
        }

        void add(long begin, long rows) {
            left -= rows;
            if (rows == 0) {
                return;
            }
            if (count > 0 && ends.getAtIndex(ValueLayout.JAVA_LONG, count - 1) == begin) {
                ends.setAtIndex(ValueLayout.JAVA_LONG, count - 1, begin + rows);
                return;
            }
            if (count == CHUNK) {
                flush();
            }
            begins.setAtIndex(ValueLayout.JAVA_LONG, count, begin);
            ends.setAtIndex(ValueLayout.JAVA_LONG, count++, begin + rows);
        }

        void flush() {
            long bytes = count * ValueLayout.JAVA_LONG.byteSize();
            writer.appendColumns(count, begins.asSlice(0, bytes), ends.asSlice(0, bytes));
            count = 0;
        }
    }

    /**
     * Reads an order.
     *
     * @param dataset whose rows it orders, at the version that it was saved for
     * @throws InvalidArgumentException where the dataset is of another version or has another number of rows
     * @throws CorruptDataException where {@code uri} is no order, or has rows that the dataset does not have
     */
    public static PersistedOrder open(String uri, Map<String, String> storageOptions, LanceDataset dataset) {
        long rows = dataset.countRows();
        try (LanceDataset order = LanceDataset.open(uri, storageOptions)) {
            if (!order.schema().names().equals(List.of(BEGIN.name(), END.name()))) {
                throw new CorruptDataException(
                        uri + " is no order of rows: it has the columns "
                                + order.schema().names(),
                        -1);
            }
            requirePinned(order, VERSION, "version", dataset.version(), dataset);
            requirePinned(order, ROWS, "row count", rows, dataset);
            return read(order, rows);
        }
    }

    private static void requirePinned(LanceDataset order, String key, String name, long actual, LanceDataset dataset) {
        String pinned = order.schema().metadata().get(key);
        if (!Long.toString(actual).equals(pinned)) {
            throw new InvalidArgumentException("the order " + order.uri() + " is for " + name + " " + pinned
                    + " of its dataset ("
                    + order.schema().metadata().get(OF) + "), and " + dataset.uri() + " has " + name + " " + actual
                    + ": open the version that it was saved for, or save another order");
        }
    }

    private static PersistedOrder read(LanceDataset order, long rows) {
        int count = Math.toIntExact(order.countRows());
        long[] begins = new long[count];
        long[] starts = new long[count + 1];
        int at = 0;
        try (Scan scan = order.scan().batchSize(CHUNK).open()) {
            while (true) {
                try (RecordBatch batch = scan.next()) {
                    if (batch == null) {
                        return new PersistedOrder(order.uri(), rows, begins, starts);
                    }
                    Column first = batch.column(0);
                    Column end = batch.column(1);
                    for (long row = 0; row < batch.rows(); row++, at++) {
                        begins[at] = first.integer(row);
                        long length = end.integer(row) - begins[at];
                        if (begins[at] < 0 || length < 1 || begins[at] + length > rows) {
                            throw new CorruptDataException(
                                    "row " + at + " of the order " + order.uri() + " is the range " + begins[at]
                                            + " to " + end.integer(row) + " of a dataset of " + rows + " rows",
                                    at);
                        }
                        starts[at + 1] = starts[at] + length;
                    }
                }
            }
        }
    }

    /**
     * @throws InvalidArgumentException where the request's fragments have another number of rows, such as within a {@link
     *     SubsetSampler}: an order is of the whole dataset
     */
    @Override
    public RowSequence rows(PlanRequest request) {
        if (request.totalRows() != datasetRows) {
            throw new InvalidArgumentException(this + " is for a dataset of " + datasetRows + " rows, not for "
                    + request.totalRows() + " of them: save an order of the rows that a filter or subset leaves");
        }
        return new RowSequence(starts[begins.length], this::at);
    }

    private long at(long place) {
        int found = Arrays.binarySearch(starts, place);
        int range = found >= 0 ? found : -found - 2;
        return begins[range] + place - starts[range];
    }

    @Override
    public String toString() {
        return "PersistedOrder[" + uri + ", " + starts[begins.length] + " rows]";
    }
}
