package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;

/** What a loader does with a row whose image cannot be decoded. On all ranks the number of steps and of rows stays as planned. */
public enum BadRows {
    /** Throw a {@link CorruptDataException} at the row's step, which names fragment and row. */
    FAIL,
    /**
     * Put another row of this rank's epoch in its place, all columns of it, so that the batch is full. The row that comes
     * instead is not a {@linkplain Batch#isValid valid} one, as it is read twice.
     */
    SKIP,
    /** Keep the row, with an image of zeros; it is not a {@linkplain Batch#isValid valid} one. */
    SUBSTITUTE
}
