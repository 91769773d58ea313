package io.lancetorch.data;

import io.lancetorch.error.InternalException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.RecordBatch;

/**
 * The rows of one step as they were read: {@code records}, and, where images come from a cache, {@code cached} with the decoded
 * ones. Closing it closes both.
 */
record StepRecords(RecordBatch records, RecordBatch cached) implements AutoCloseable {
    StepRecords(RecordBatch records) {
        this(records, null);
    }

    Column column(String name) {
        if (cached != null && cached.schema().contains(name)) {
            return cached.column(name);
        }
        if (records != null && records.schema().contains(name)) {
            return records.column(name);
        }
        throw new InternalException("column " + name + " was not read");
    }

    boolean isCached(String name) {
        return cached != null && cached.schema().contains(name);
    }

    long rows() {
        return records != null ? records.rows() : cached.rows();
    }

    @Override
    public void close() {
        if (records != null) {
            records.close();
        }
        if (cached != null) {
            cached.close();
        }
    }
}
