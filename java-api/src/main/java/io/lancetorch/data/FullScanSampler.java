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
        var rows = new RowCursor(request.fragments(), order(request, shuffle), 0, 1);
        return rows.deal(request, rows.total(), request.fragments());
    }

    static int[] order(PlanRequest request, boolean shuffle) {
        int count = request.fragments().size();
        if (shuffle) {
            return Permutation.of(count, request.seed(), request.epoch());
        }
        int[] order = new int[count];
        for (int i = 0; i < count; i++) {
            order[i] = i;
        }
        return order;
    }
}
