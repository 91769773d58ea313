package io.lancetorch.data;

/**
 * A batch of a {@link MixedLoader}, which is good as long as its loader says.
 *
 * @param source the name by which its loader was added
 */
public record MixedBatch(String source, Batch batch) {}
