package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_write_progress;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;

/** Writes rows to data files of a dataset; what becomes of them at the end is the subclass's. One thread at a time. */
public abstract sealed class RowWriter implements AutoCloseable permits LanceWriter, FragmentWriter {
    /** How far a write has come. {@code fragments} is known at its end only. */
    public record Progress(long rows, long bytes, long fragments) {}

    private static final int MAX_BATCH_ROWS = 4096;
    private static final long MAX_BATCH_BYTES = 16L << 20;

    /** One of the native functions that start a write. */
    @FunctionalInterface
    interface Opening {
        int call(
                MemorySegment uri,
                MemorySegment schema,
                MemorySegment options,
                MemorySegment writer,
                MemorySegment error);
    }

    final String uri;
    private final Schema schema;
    private final Arena arena;
    final MemorySegment error;
    private final MemorySegment progress;
    private final ColumnBuilder[] builders;
    private MemorySegment handle;
    private long rows;

    RowWriter(LanceWriter.Builder builder, Opening opening) {
        uri = builder.uri();
        schema = builder.schema();
        arena = Arena.ofAuto();
        error = arena.allocate(Status.ERROR_SIZE, 8);
        // A writer that is forgotten without close goes on counting, so the counters are never freed.
        progress = lt_write_progress.allocate(Arena.global());
        builders = schema.fields().stream().map(ColumnBuilder::of).toArray(ColumnBuilder[]::new);
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment out = temporary.allocate(ADDRESS);
            Status.check(
                    opening.call(
                            temporary.allocateFrom(uri),
                            schema.toArrow(temporary),
                            builder.options(temporary, progress),
                            out,
                            error),
                    error);
            handle = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
        }
    }

    /** Writes what is left, and hands the native writer over to be finished; this one is closed then. */
    final MemorySegment takeFlushed() {
        flush();
        MemorySegment writer = handle();
        handle = null;
        return writer;
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

    /** Without {@code finish} before, ends the write, of which nothing stays; else does nothing. */
    @Override
    public synchronized void close() {
        if (handle != null) {
            lance_h.lt_writer_abort(handle);
            handle = null;
        }
    }
}
