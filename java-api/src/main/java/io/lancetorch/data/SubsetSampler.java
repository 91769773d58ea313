package io.lancetorch.data;

import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import java.util.List;

/**
 * Any other sampler over a part of the dataset, such as the rows that a filter accepts, or those held out for validation: the
 * inner sampler sees fragments that have the selected rows alone, so each rank gets its share of these. Of PyTorch's, it is
 * {@code Subset} that has this place.
 *
 * @param selection the rows to read
 * @param inner deals them; rows by position, weights for example, are counted over the selected ones
 */
public record SubsetSampler(RowSelection selection, Sampler inner) implements Sampler {
    /** Of the rows of these ranges, each once. */
    public SubsetSampler(List<RowRange> ranges, Sampler inner) {
        this(RowSelection.of(ranges), inner);
    }

    /**
     * @throws io.lancetorch.error.InvalidArgumentException where the selection has rows that the request's fragments do not have
     */
    @Override
    public Plan plan(PlanRequest request) {
        // The inner sampler is told of no other fragments, so it would not see that one is missing.
        new RowPositions(request.fragments()).starts(selection);
        Plan plan = inner.plan(request.withFragments(selection.fragments()));
        var mapped = new Plan.Builder().order(plan.order()).packed(plan.packed());
        for (int step = 0; step < plan.steps(); step++) {
            plan.forEachRange(
                    step, (fragment, begin, end) -> selection.forEachRange(fragment, begin, end, mapped::add));
            mapped.endStep(plan.validRows(step));
        }
        return mapped.build();
    }
}
