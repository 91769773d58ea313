package io.lancetorch.data;

/**
 * Decides which rows a rank reads in which step. A pure function: the same request gives the same plan, on every rank, at
 * any time, whatever was asked before. It reads nothing and keeps nothing.
 *
 * <p>For one epoch, all ranks get the same number of steps, and in each step the same number of rows, but for those that
 * {@link Uneven#JOIN} leaves a rank short of.
 *
 * <p>All samplers of this package give an epoch's samples an order over all ranks, say where each step lies in it ({@link
 * Plan#order}), and plan from {@link PlanRequest#consumed} on, so that a run that was stopped anywhere goes on at the very next
 * sample: what the steps of all ranks take, one step after another, is the order, in pieces of {@code worldSize * batchSize}
 * samples. The order is the same for any number of threads, ranks and rows of a batch, but for two: that of {@link
 * ShardedBatchSampler}, shuffled, is another for another batch size, and that of {@link ShardedFragmentSampler} for another
 * world size.
 */
@FunctionalInterface
public interface Sampler {
    /** The plan of one rank for one epoch. */
    Plan plan(PlanRequest request);
}
