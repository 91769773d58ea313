package io.lancetorch.data;

/**
 * Every rank reads the whole dataset, fragment after fragment: for a world of one, and for evaluation that each rank does by
 * itself. World size and rank change nothing.
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
        int[] order = Permutation.order(request.fragments().size(), shuffle, request);
        var rows = new RowCursor(request.fragments(), order, 0, 1);
        return rows.deal(request, rows.total());
    }
}
