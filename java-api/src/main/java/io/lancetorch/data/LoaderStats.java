package io.lancetorch.data;

/**
 * What a loader has done since it was made. The same figures, batch by batch, are the events {@code io.lancetorch.Batch} of
 * the JDK's Flight Recorder.
 *
 * @param batches handed out
 * @param rows in them, repeats included
 * @param bytes of their tensors
 * @param elapsedNanos from the first request for a batch to the last batch
 * @param waitNanos that whoever takes the batches has waited for them
 * @param decodeNanos spent in decoding and in making tensors, over all threads
 * @param queueDepth batches that are ready now, over all iterations
 * @param badRows that were skipped or substituted
 */
public record LoaderStats(
        long batches,
        long rows,
        long bytes,
        long elapsedNanos,
        long waitNanos,
        long decodeNanos,
        int queueDepth,
        long badRows) {
    /** Rows for each second, from the first request to the last batch. */
    public double rowsPerSecond() {
        return elapsedNanos == 0 ? 0 : rows / (elapsedNanos / 1e9);
    }

    /** Bytes of tensors for each second. */
    public double bytesPerSecond() {
        return elapsedNanos == 0 ? 0 : bytes / (elapsedNanos / 1e9);
    }

    /** Which part of that time the consumer waited, 0 to 1. */
    public double waitShare() {
        return elapsedNanos == 0 ? 0 : (double) waitNanos / elapsedNanos;
    }
}
