package io.lancetorch.data;

/**
 * Every rank reads the whole dataset, fragment after fragment: for a world of one, and for evaluation that each rank does by
 * itself. World size and rank change nothing: what is consumed counts for each rank. PyTorch has none; Lance's Python API has
 * one by this name.
 *
 * @param shuffle take the fragments in another order each epoch
 */
public record FullScanSampler(boolean shuffle) implements Sampler {
    /** In the dataset's own order. */
    public FullScanSampler() {
        this(false);
    }

    @Override
    public Plan plan(PlanRequest request) {
        var rows = new RowCursor(request, shuffle, 0, 1);
        var order = new EpochOrder(rows.total(), request.consumed(), request.batchSize(), false, false);
        return rows.deal(request, order, order.begin(), rows.total(), false);
    }
}
