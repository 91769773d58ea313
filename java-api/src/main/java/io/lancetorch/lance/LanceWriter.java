package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_write_options;
import io.lancetorch.bindings.lance.lt_write_progress;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.Map;

/**
 * Writes rows to a dataset in one commit: all of them at {@link #finish}, or none. One thread at a time.
 *
 * <pre>{@code
 * Schema schema = Schema.of(Field.binary("image"), Field.int64("label"));
 * try (LanceWriter writer = LanceWriter.to("photos.lance", schema).maxRowsPerFile(12_500).open()) {
 *     writer.append(jpeg, 3L);
 *     writer.finish();
 * }
 * }</pre>
 */
public final class LanceWriter implements AutoCloseable {
    /** What a write does to a dataset that is there. */
    public enum Mode {
        /** Refuse. */
        CREATE,
        /** Add rows; refuse where none is there. */
        APPEND,
        /** Make a new version of these rows alone; older versions stay readable. */
        OVERWRITE
    }

    /** How far a write has come. {@code fragments} is known at its end only. */
    public record Progress(long rows, long bytes, long fragments) {}

    private static final int MAX_BATCH_ROWS = 4096;
    private static final long MAX_BATCH_BYTES = 16L << 20;

    private final String uri;
    private final Schema schema;
    private final Arena arena;
    private final MemorySegment error;
    private final MemorySegment progress;
    private final ColumnBuilder[] builders;
    private MemorySegment handle;
    private long rows;

    /** How to write. */
    public static final class Builder {
        private final String uri;
        private final Schema schema;
        private Mode mode = Mode.CREATE;
        private Map<String, String> storageOptions = Map.of();
        private long maxRowsPerFile;
        private String dataStorageVersion;

        private Builder(String uri, Schema schema) {
            this.uri = uri;
            this.schema = schema;
        }

        /** {@link Mode#CREATE} unless said. */
        public Builder mode(Mode mode) {
            this.mode = mode;
            return this;
        }

        /** Options for the object store, and when it is given up: see {@link LanceDataset#open(String, Map)}. */
        public Builder storageOptions(Map<String, String> options) {
            storageOptions = Map.copyOf(options);
            return this;
        }

        /** The rows of a fragment; Lance's default is 1,048,576. */
        public Builder maxRowsPerFile(long rows) {
            if (rows < 1) {
                throw new InvalidArgumentException("a fragment of at most " + rows + " rows");
            }
            maxRowsPerFile = rows;
            return this;
        }

        /** Lance's file format, such as {@code 2.1} or {@code legacy}. */
        public Builder dataStorageVersion(String version) {
            dataStorageVersion = version;
            return this;
        }

        private MemorySegment options(Arena arena, MemorySegment progress) {
            MemorySegment options = lt_write_options.allocate(arena);
            options.fill((byte) 0);
            lt_write_options.mode(options, mode.ordinal());
            Map<String, String> requested = StorageDefaults.with(uri, storageOptions, true);
            lt_write_options.option_count(options, requested.size());
            lt_write_options.options(options, LanceDataset.optionArray(requested, arena));
            lt_write_options.max_rows_per_file(options, maxRowsPerFile);
            if (dataStorageVersion != null) {
                lt_write_options.data_storage_version(options, arena.allocateFrom(dataStorageVersion));
            }
            lt_write_options.progress(options, progress);
            return options;
        }

        /**
         * Starts to write.
         *
         * @throws InvalidArgumentException where {@link Mode#CREATE} meets a dataset, or the schema cannot be written
         * @throws NotFoundException where {@link Mode#APPEND} meets none
         */
        public LanceWriter open() {
            NativeLibraries.lance();
            return new LanceWriter(this);
        }

        /**
         * Writes all of an {@code ArrowArrayStream} of the Arrow C stream interface, which this method releases, and returns
         * the new version. The schema given to {@link #to} is not looked at.
         */
        public long writeStream(MemorySegment stream) {
            NativeLibraries.lance();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
                MemorySegment version = arena.allocate(JAVA_LONG);
                Status.check(
                        lance_h.lt_dataset_write(
                                arena.allocateFrom(uri), stream, options(arena, MemorySegment.NULL), version, error),
                        error);
                return version.get(JAVA_LONG, 0);
            }
        }
    }

    /** Sets up a write of rows of {@code schema}, whose metadata becomes the dataset's. */
    public static Builder to(String uri, Schema schema) {
        return new Builder(uri, schema);
    }

    private LanceWriter(Builder builder) {
        uri = builder.uri;
        schema = builder.schema;
        arena = Arena.ofAuto();
        error = arena.allocate(Status.ERROR_SIZE, 8);
        // A writer that is forgotten without close goes on counting, so the counters are never freed.
        progress = lt_write_progress.allocate(Arena.global());
        builders = schema.fields().stream().map(ColumnBuilder::of).toArray(ColumnBuilder[]::new);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment out = temporary.allocate(ADDRESS);
            Status.check(
                    lance_h.lt_writer_open(
                            temporary.allocateFrom(uri),
                            schema.toArrow(temporary),
                            builder.options(temporary, progress),
                            out,
                            error),
                    error);
            handle = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
        }
    }

    private MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("the writer to " + uri + " is finished or closed");
        }
        return handle;
    }

    /**
     * Adds one row, with a value for each column in the schema's order: {@code byte[]} or {@link MemorySegment} for binary,
     * {@code String} for text, {@code Number} and {@code Boolean} for numbers and bools, an array of the item's Java type
     * for a list of fixed size (for float16: {@code short[]}, its bits), or null.
     *
     * @throws InvalidArgumentException for a value that does not fit its column; the row is not added then
     */
    public synchronized void append(Object... values) {
        handle();
        if (values.length != builders.length) {
            throw new InvalidArgumentException(
                    values.length + " values for the " + builders.length + " columns " + schema.names() + " of " + uri);
        }
        for (int i = 0; i < values.length; i++) {
            builders[i].check(values[i]);
        }
        long bytes = 0;
        for (int i = 0; i < values.length; i++) {
            builders[i].append(values[i]);
            bytes += builders[i].bytes();
        }
        rows++;
        if (rows == MAX_BATCH_ROWS || bytes >= MAX_BATCH_BYTES) {
            flush();
        }
    }

    /**
     * Adds all rows of {@code batch}, which stays the caller's and may be closed after. Its columns are the schema's, in order
     * and in type.
     *
     * @throws InvalidArgumentException where they are not
     */
    public synchronized void write(RecordBatch batch) {
        handle();
        flush();
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment array = ArrowArray.allocate(temporary);
            batch.exportTo(array);
            try {
                Status.check(lance_h.lt_writer_write(handle(), array, error), error, uri);
            } finally {
                ArrowArray.release.invoke(ArrowArray.release(array), array);
            }
        }
    }

    private void flush() {
        if (rows == 0) {
            return;
        }
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment[] columns = new MemorySegment[builders.length];
            for (int i = 0; i < columns.length; i++) {
                columns[i] = builders[i].array(temporary, rows);
            }
            Status.check(lance_h.lt_writer_write(handle(), batch(temporary, rows, columns), error), error, uri);
        }
        for (ColumnBuilder builder : builders) {
            builder.clear();
        }
        rows = 0;
    }

    /**
     * Adds many rows at once, with all of their values for each column in the schema's order: a {@link Column}, such as a scan
     * gives, or a {@link MemorySegment} of native memory with values of a fixed width one after the other, also for lists of
     * fixed size. They are borrowed for the call, and not copied on the Java side.
     *
     * @throws InvalidArgumentException for values that do not fit their column; no row is added then
     * @throws UnsupportedException for memory as a column whose values have no fixed width
     */
    public synchronized void appendColumns(long count, Object... columns) {
        handle();
        if (columns.length != builders.length || count < 0) {
            throw new InvalidArgumentException(count + " rows of " + columns.length + " columns for the "
                    + builders.length + " columns " + schema.names() + " of " + uri);
        }
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment[] arrays = new MemorySegment[columns.length];
            for (int i = 0; i < columns.length; i++) {
                arrays[i] = array(schema.fields().get(i), columns[i], count, temporary);
            }
            flush();
            if (count > 0) {
                Status.check(lance_h.lt_writer_write(handle(), batch(temporary, count, arrays), error), error, uri);
            }
        }
    }

    private static MemorySegment array(Field field, Object values, long count, SegmentAllocator allocator) {
        return switch (values) {
            case MemorySegment memory -> DenseColumn.array(field, memory, count, allocator);
            case Column column
            when column.length() == count && column.field().typeName().equals(field.typeName()) -> column.array();
            case Column column ->
                throw new InvalidArgumentException(
                        column.length() + " rows of " + column.field().typeName() + " for " + count + " rows of column "
                                + field.name() + ", " + field.typeName());
            case null, default ->
                throw new InvalidArgumentException(
                        "a " + (values == null ? "null" : values.getClass().getSimpleName())
                                + " as the values of column " + field.name() + ": give a Column or a MemorySegment");
        };
    }

    private MemorySegment batch(SegmentAllocator allocator, long rows, MemorySegment[] columns) {
        MemorySegment children = allocator.allocate(ADDRESS, Math.max(1, columns.length));
        for (int i = 0; i < columns.length; i++) {
            children.setAtIndex(ADDRESS, i, columns[i]);
        }
        MemorySegment batch = ArrowArray.allocate(allocator);
        batch.fill((byte) 0);
        ArrowArray.release(batch, BorrowedArrow.RELEASE);
        ArrowArray.length(batch, rows);
        ArrowArray.n_buffers(batch, 1);
        ArrowArray.buffers(batch, allocator.allocate(ADDRESS));
        ArrowArray.n_children(batch, builders.length);
        ArrowArray.children(batch, children);
        return batch;
    }

    /** How far the write has come. Any thread. */
    public Progress progress() {
        return new Progress(
                lt_write_progress.rows(progress),
                lt_write_progress.bytes(progress),
                lt_write_progress.fragments(progress));
    }

    /** Writes what is left, commits, closes this writer, and returns the dataset's new version. */
    public synchronized long finish() {
        flush();
        MemorySegment writer = handle();
        handle = null;
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment version = temporary.allocate(JAVA_LONG);
            Status.check(lance_h.lt_writer_finish(writer, version, error), error, uri);
            return version.get(JAVA_LONG, 0);
        }
    }

    /** Without {@link #finish} before, ends the write and commits nothing; else does nothing. */
    @Override
    public synchronized void close() {
        if (handle != null) {
            lance_h.lt_writer_abort(handle);
            handle = null;
        }
    }
}
