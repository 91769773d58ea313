package io.lancetorch.data;

/**
 * Deals batches of rows: the rows of an epoch are cut into batches of {@code batchSize}, and in each step every rank takes the
 * next one: PyTorch's {@code BatchSampler}, dealt to ranks as {@code accelerate} does. The rows that do not fill a whole batch
 * come in the last step, which the request's {@code dropLast} leaves out. A run that is resumed cuts what is left of the
 * epoch's order into batches, in any world and by any batch size.
 *
 * @param rows the rows of an epoch, and their order
 * @param uneven where the last step does not give every rank the same number of rows: repeat rows from the order's beginning,
 *     cut it down to the smallest share, give each what is left, or refuse
 */
public record BatchSampler(RowSampler rows, Uneven uneven) implements Sampler {
    @Override
    public Plan plan(PlanRequest request) {
        RowSequence sequence = rows.rows(request);
        var positions = new RowPositions(request.fragments());
        return BatchDeal.plan(request, EpochOrder.of(request, sequence.size()), uneven, (begin, end, plan) -> {
            for (long i = begin; i < end; i++) {
                long row = sequence.at(i);
                positions.add(row, row + 1, plan);
            }
        });
    }
}
