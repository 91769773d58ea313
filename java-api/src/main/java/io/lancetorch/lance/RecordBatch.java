package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.ArrowSchema;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Rows as Arrow columns, in Lance's own memory. The caller closes it; columns that were retained live on. */
public final class RecordBatch implements AutoCloseable {
    private static final ThreadLocal<MemorySegment> OUT =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(ADDRESS));

    private final Schema schema;
    private final long rows;
    private final Column[] columns;

    private RecordBatch(Schema schema, long rows, Column[] columns) {
        this.schema = schema;
        this.rows = rows;
        this.columns = columns;
    }

    /** Takes over an {@code ArrowArray} of a struct, column by column. */
    static RecordBatch consume(Schema schema, MemorySegment batch, MemorySegment error) {
        Column[] columns = new Column[schema.fields().size()];
        long rows = ArrowArray.length(batch);
        MemorySegment out = OUT.get();
        try {
            for (int i = 0; i < columns.length; i++) {
                int status = lance_h.lt_column_take(batch, i, out, error);
                if (status != 0) {
                    Status.check(status, error);
                }
                columns[i] = new Column(schema.fields().get(i), out.get(JAVA_LONG, 0));
            }
        } catch (RuntimeException e) {
            for (Column column : columns) {
                if (column != null) {
                    column.close();
                }
            }
            throw e;
        } finally {
            ArrowArray.release.invoke(ArrowArray.release(batch), batch);
        }
        return new RecordBatch(schema, rows, columns);
    }

    /**
     * Takes over rows that another library hands out by the Arrow C data interface, without a copy: {@code array} is an
     * {@code ArrowArray} of a struct, {@code schema} its {@code ArrowSchema}. Both are released or moved from, also where this
     * method throws. The rows' own release runs when the last column and the last tensor over them is closed, on whichever
     * thread closes it.
     *
     * @throws InvalidArgumentException for structs that were released before, or that do not belong together
     * @throws UnsupportedException for a struct with an offset or nulls of its own, and for a dictionary
     */
    public static RecordBatch importFrom(MemorySegment array, MemorySegment schema) {
        NativeLibraries.lance();
        MemorySegment batch = array.reinterpret(ArrowArray.sizeof());
        Schema fields;
        try {
            fields = Schema.consume(schema.reinterpret(ArrowSchema.sizeof()));
            requireRows(batch, fields);
        } catch (RuntimeException e) {
            if (ArrowArray.release(batch).address() != 0) {
                ArrowArray.release.invoke(ArrowArray.release(batch), batch);
            }
            throw e;
        }
        try (Arena arena = Arena.ofConfined()) {
            return consume(fields, batch, arena.allocate(Status.ERROR_SIZE, 8));
        }
    }

    private static void requireRows(MemorySegment batch, Schema schema) {
        if (ArrowArray.release(batch).address() == 0) {
            throw new InvalidArgumentException("the ArrowArray was released or moved before");
        }
        long children = ArrowArray.n_children(batch);
        if (children != schema.fields().size()) {
            throw new InvalidArgumentException("an ArrowArray of " + children + " columns for the "
                    + schema.fields().size() + " of its schema " + schema.names());
        }
        if (ArrowArray.offset(batch) != 0 || ArrowArray.null_count(batch) > 0) {
            throw new UnsupportedException(
                    "an ArrowArray whose struct has an offset or nulls of its own; its columns may" + " have both");
        }
        for (int i = 0; i < children; i++) {
            requireNoDictionary(child(batch, i), schema.fields().get(i));
        }
    }

    private static MemorySegment child(MemorySegment array, long index) {
        return ArrowArray.children(array)
                .reinterpret(ArrowArray.n_children(array) * ADDRESS.byteSize())
                .getAtIndex(ADDRESS, index)
                .reinterpret(ArrowArray.sizeof());
    }

    private static void requireNoDictionary(MemorySegment array, Field column) {
        if (ArrowArray.dictionary(array).address() != 0) {
            throw new UnsupportedException(
                    "column " + column.name() + " is encoded with a dictionary: decode it before it is handed over");
        }
        for (long i = 0; i < ArrowArray.n_children(array); i++) {
            requireNoDictionary(child(array, i), column);
        }
    }

    /**
     * Writes this batch to {@code array}, an {@code ArrowArray} of the Arrow C data interface, as a struct array over the
     * same memory, without a copy; {@link Schema#toArrow} gives its schema. Whoever reads it releases it. This batch is closed
     * by itself, before or after; the memory lives as long as either.
     */
    public void exportTo(MemorySegment array) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handles = arena.allocate(ADDRESS, Math.max(1, columns.length));
            for (int i = 0; i < columns.length; i++) {
                handles.setAtIndex(ADDRESS, i, columns[i].nativeHandle());
            }
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            Status.check(lance_h.lt_columns_export(handles, columns.length, rows, array, error), error);
        }
    }

    public Schema schema() {
        return schema;
    }

    public long rows() {
        return rows;
    }

    public Column column(int index) {
        return columns[index];
    }

    /**
     * The column of that name, which this batch goes on owning.
     *
     * @throws NotFoundException where there is none
     */
    public Column column(String name) {
        return columns[schema.indexOf(name)];
    }

    /** Lets go of all columns; a second close does nothing. */
    @Override
    public void close() {
        for (Column column : columns) {
            column.close();
        }
    }
}
