package io.lancetorch.data;

/**
 * What a loader has done since it was made.
 *
 * @param batches handed out
 * @param rows in them, repeats included
 * @param waitNanos that whoever takes the batches has waited for them
 * @param decodeNanos spent in decoding and in making tensors, over all threads
 */
public record LoaderStats(long batches, long rows, long waitNanos, long decodeNanos) {}
