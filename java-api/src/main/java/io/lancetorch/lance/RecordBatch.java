package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.NotFoundException;
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
