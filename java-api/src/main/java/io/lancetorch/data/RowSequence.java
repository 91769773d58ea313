package io.lancetorch.data;

import java.util.function.LongUnaryOperator;

/**
 * The rows of an epoch, over all ranks, in the order in which they come; a row may come several times, or never. Places are
 * looked up one by one, so it need not be held in memory.
 *
 * @param size how many
 * @param rows the row at a place 0 to size - 1, as its position in the dataset: a pure function, which any thread may call
 */
public record RowSequence(long size, LongUnaryOperator rows) {
    /** The position in the dataset of the row that comes at place i. */
    public long at(long i) {
        return rows.applyAsLong(i);
    }
}
