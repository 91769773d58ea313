package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Handle;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.ArrowSchema;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_scan_options;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Batches of rows on their way from a dataset; up to {@code readAhead} of them are read before they are asked for. One
 * thread reads; any thread may cancel or close.
 *
 * <pre>{@code
 * try (Scan scan = dataset.scan().columns("vector").filter("label < 3").batchSize(1024).open()) {
 *     while (true) {
 *         try (RecordBatch batch = scan.next()) {
 *             if (batch == null) {
 *                 break;
 *             }
 *             ...
 *         }
 *     }
 * }
 * }</pre>
 */
public final class Scan implements AutoCloseable {
    /** A thread in native code does not see an interrupt; so often it looks. */
    private static final int INTERRUPT_MILLIS = 20;

    private final Handle handle;
    private final Schema schema;
    private final Arena arena = Arena.ofAuto();
    private final MemorySegment batch = ArrowArray.allocate(arena);
    private final MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
    private final ReentrantLock reading = new ReentrantLock();

    private Scan(String uri, long address) {
        handle = new Handle("a scan of " + uri, address, lance_h::lt_scan_close);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment out = ArrowSchema.allocate(temporary);
            Status.check(handle.call(scan -> lance_h.lt_scan_schema(scan, out, error)), error);
            schema = LanceDataset.consumeSchema(out);
        } catch (RuntimeException e) {
            handle.close();
            throw e;
        }
    }

    /** What to read; unset, the whole dataset in order. */
    public static final class Builder {
        private final LanceDataset dataset;
        private List<String> columns = List.of();
        private String filter;
        /** Fragment, begin and end of each range. */
        private long[] ranges;

        private long[] batchEnds;
        private long batchSize = 1024;
        private int readAhead = 4;
        private boolean withRowId;
        private boolean rowIdsOnly;
        private Access access = Access.AUTO;

        Builder(LanceDataset dataset) {
            this.dataset = dataset;
        }

        /** These columns in this order; none: all of them. */
        public Builder columns(String... columns) {
            return columns(List.of(columns));
        }

        public Builder columns(List<String> columns) {
            this.columns = List.copyOf(columns);
            return this;
        }

        /** No columns but {@code _rowid}. */
        public Builder rowIdsOnly() {
            rowIdsOnly = true;
            return withRowId();
        }

        /** Only rows that this SQL expression accepts, such as {@code label < 3 AND width > 100}. */
        public Builder filter(String filter) {
            this.filter = filter;
            return this;
        }

        /** These fragments, whole, in this order. */
        public Builder fragments(List<Fragment> fragments) {
            return ranges(fragments.stream()
                    .map(fragment -> new RowRange(fragment.id(), 0, fragment.rows()))
                    .toList());
        }

        /** These rows in this order. */
        public Builder ranges(List<RowRange> ranges) {
            this.ranges = flat(ranges);
            batchEnds = null;
            return this;
        }

        private static long[] flat(List<RowRange> ranges) {
            long[] flat = new long[3 * ranges.size()];
            int at = 0;
            for (RowRange range : ranges) {
                flat[at++] = range.fragmentId();
                flat[at++] = range.begin();
                flat[at++] = range.end();
            }
            return flat;
        }

        /** Each list of ranges as exactly one batch, in place of {@link #batchSize}. Does not go with a filter. */
        public Builder batches(List<List<RowRange>> batches) {
            long[] ends = new long[batches.size()];
            long end = 0;
            for (int i = 0; i < ends.length; i++) {
                end += batches.get(i).size();
                ends[i] = end;
            }
            return batches(flat(batches.stream().flatMap(List::stream).toList()), ends);
        }

        /**
         * As {@link #batches(List)}, for many ranges.
         *
         * @param ranges fragment id, begin and end of each
         * @param ends the number of ranges up to each batch's end; the last is that of all
         */
        public Builder batches(long[] ranges, long[] ends) {
            if (ranges.length % 3 != 0) {
                throw new InvalidArgumentException(
                        ranges.length + " numbers are no ranges, each of which is a fragment id, a begin and an end");
            }
            this.ranges = ranges;
            batchEnds = ends;
            return this;
        }

        /** Rows of a batch, 1,024 unless said; one at the end of a fragment may be smaller. */
        public Builder batchSize(long batchSize) {
            this.batchSize = batchSize;
            return this;
        }

        /** Batches to have under way, 4 unless said. */
        public Builder readAhead(int readAhead) {
            this.readAhead = readAhead;
            return this;
        }

        /** Adds a last column {@code _rowid}, uint64. */
        public Builder withRowId() {
            withRowId = true;
            return this;
        }

        /** How to read {@link #batches}; {@link Access#AUTO} unless said. */
        public Builder access(Access access) {
            this.access = access;
            return this;
        }

        /**
         * Starts to read. The caller closes the scan.
         *
         * @throws NotFoundException for a column or a fragment that is not there
         * @throws InvalidArgumentException for a filter that does not parse, or rows beyond a fragment
         */
        public Scan open() {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment options = lt_scan_options.allocate(arena);
                options.fill((byte) 0);
                List<String> names = rowIdsOnly ? List.of() : columns;
                if (rowIdsOnly || !names.isEmpty()) {
                    lt_scan_options.columns(options, LanceDataset.names(names, arena));
                    lt_scan_options.column_count(options, names.size());
                }
                if (filter != null) {
                    lt_scan_options.filter(options, arena.allocateFrom(filter));
                }
                if (ranges != null) {
                    lt_scan_options.ranges(options, longs(ranges, arena));
                    lt_scan_options.range_count(options, ranges.length / 3);
                }
                if (batchEnds != null) {
                    lt_scan_options.batch_ends(options, longs(batchEnds, arena));
                    lt_scan_options.batch_count(options, batchEnds.length);
                }
                lt_scan_options.batch_size(options, batchSize);
                lt_scan_options.read_ahead(options, readAhead);
                lt_scan_options.with_row_id(options, withRowId ? 1 : 0);
                lt_scan_options.access(
                        options,
                        switch (access) {
                            case AUTO -> lance_h.LT_ACCESS_AUTO();
                            case STREAM -> lance_h.LT_ACCESS_STREAM();
                            case TAKE -> lance_h.LT_ACCESS_TAKE();
                        });
                MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
                MemorySegment out = arena.allocate(ADDRESS);
                Status.check(
                        dataset.handle().call(handle -> lance_h.lt_dataset_scan(handle, options, out, error)), error);
                return new Scan(dataset.uri(), out.get(JAVA_LONG, 0));
            }
        }
    }

    /** The values in native memory, which has an address also where there are none. */
    private static MemorySegment longs(long[] values, Arena arena) {
        return values.length == 0 ? arena.allocate(JAVA_LONG) : arena.allocateFrom(JAVA_LONG, values);
    }

    /** The columns of its batches. */
    public Schema schema() {
        return schema;
    }

    /**
     * Waits for the next batch, which the caller closes; null at the end.
     *
     * @throws CancelledException after {@link #cancel}, and where the thread is interrupted while it waits; the interrupt
     *     stays set then, and the scan can go on
     */
    public RecordBatch next() {
        reading.lock();
        try {
            int status;
            do {
                status = handle.call(scan -> lance_h.lt_scan_poll(scan, INTERRUPT_MILLIS, batch, error));
                if (status == lance_h.LT_TIMEOUT() && Thread.currentThread().isInterrupted()) {
                    throw new CancelledException("interrupted while waiting for a batch", null);
                }
            } while (status == lance_h.LT_TIMEOUT());
            Status.check(status, error);
            return ArrowArray.release(batch).address() == 0 ? null : RecordBatch.consume(schema, batch, error);
        } finally {
            reading.unlock();
        }
    }

    /** Ends a {@link #next} that waits, and every later one, with a {@link CancelledException}. */
    public void cancel() {
        handle.ifOpen(lance_h::lt_scan_cancel);
    }

    /**
     * Turns the scan into an {@code ArrowArrayStream} at {@code stream}, a struct of the Arrow C stream interface, for other
     * libraries; whoever reads it releases it. This scan is closed then.
     */
    public void exportTo(MemorySegment stream) {
        Status.check(handle.consume(scan -> lance_h.lt_scan_export(scan, stream, error)), error);
    }

    /** Stops reading, also one that waits; batches that were handed out live on. A second close does nothing. */
    @Override
    public void close() {
        cancel();
        handle.close();
    }
}
