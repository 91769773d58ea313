package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/**
 * Where a {@link Plan}'s steps lie in the order that an epoch's samples have over all ranks. Step s is the samples at places
 * {@code begin + s * perStep} to {@code begin + (s + 1) * perStep} - 1 of it, as far as there are any, dealt to the ranks: so
 * the number of samples consumed says where any other world goes on.
 *
 * @param rows samples of the whole epoch
 * @param begin samples that were consumed before the plan's first step: the request's {@code consumed}
 * @param perStep samples that all ranks together consume in a step
 * @param ofBatchSize another batch size gives another order
 * @param ofWorldSize another world size gives another order, so that no other can go on
 */
public record EpochOrder(long rows, long begin, long perStep, boolean ofBatchSize, boolean ofWorldSize) {
    /**
     * @throws InvalidArgumentException where more samples are consumed than there are
     */
    public EpochOrder {
        if (rows < 0 || perStep < 1) {
            throw new InvalidArgumentException("an epoch of " + rows + " rows, " + perStep + " a step");
        }
        if (begin < 0 || begin > rows) {
            throw new InvalidArgumentException(begin + " samples consumed of an epoch of " + rows
                    + ": resume with the rows, the filter and the sampler of the run before");
        }
    }

    /** Of samples whose order is the same for any batch size and any world, and of which each rank takes a batch a step. */
    static EpochOrder of(PlanRequest request, long rows) {
        return new EpochOrder(rows, request.consumed(), request.samplesPerStep(), false, false);
    }

    /** The steps before the plan's first one, had all of the epoch been dealt to this world; a part of a step counts as one. */
    long firstStep() {
        return Math.ceilDiv(begin, perStep);
    }

    /** Samples that are consumed when so many of the plan's steps are done. */
    long consumed(long steps) {
        return Math.min(rows, begin + steps * perStep);
    }
}
