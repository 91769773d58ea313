package io.lancetorch.data;

/**
 * Decides which rows a rank reads in which step. A pure function: the same request gives the same plan, on every rank, at
 * any time, whatever was asked before. It reads nothing and keeps nothing.
 *
 * <p>For one epoch, all ranks get the same number of steps, and in each step the same number of rows.
 */
@FunctionalInterface
public interface Sampler {
    /** The plan of one rank for one epoch. */
    Plan plan(PlanRequest request);
}
