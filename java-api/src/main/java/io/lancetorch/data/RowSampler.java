package io.lancetorch.data;

/**
 * Random access: says which rows an epoch has, and in which order, whatever the ranks; as a {@code torch.utils.data.Sampler}
 * does. {@link DistributedSampler} and {@link BatchSampler} deal them to the ranks; where it is used as it is, they are dealt
 * as {@link DistributedSampler} does with padding. Rows that are scattered over a dataset cost more to read than ranges:
 * {@link ShardedBatchSampler} shuffles at less cost.
 */
@FunctionalInterface
public interface RowSampler extends Sampler {
    /**
     * The rows of the whole epoch, whatever is {@linkplain PlanRequest#consumed consumed}; the same for every rank, world size
     * and batch size of the request.
     */
    RowSequence rows(PlanRequest request);

    @Override
    default Plan plan(PlanRequest request) {
        return new DistributedSampler(this, Uneven.PAD).plan(request);
    }
}
