package io.lancetorch.data;

import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowRange;
import java.util.ArrayList;
import java.util.List;

/**
 * Plans over a part of a dataset, such as what is held out for validation: the inner sampler takes each range for a fragment.
 *
 * @param ranges the rows to read; where they overlap, rows are read more than once
 * @param inner deals them
 */
public record SubsetSampler(List<RowRange> ranges, Sampler inner) implements Sampler {
    public SubsetSampler {
        ranges = List.copyOf(ranges);
    }

    @Override
    public Plan plan(PlanRequest request) {
        List<Fragment> parts = new ArrayList<>(ranges.size());
        for (int i = 0; i < ranges.size(); i++) {
            parts.add(new Fragment(i, ranges.get(i).rows(), 0));
        }
        Plan plan = inner.plan(new PlanRequest(
                parts,
                request.worldSize(),
                request.rank(),
                request.seed(),
                request.epoch(),
                request.batchSize(),
                request.dropLast()));
        var mapped = new Plan.Builder();
        for (int step = 0; step < plan.steps(); step++) {
            for (RowRange part : plan.ranges(step)) {
                RowRange range = ranges.get((int) part.fragmentId());
                mapped.add(range.fragmentId(), range.begin() + part.begin(), range.begin() + part.end());
            }
            mapped.endStep(plan.validRows(step));
        }
        return mapped.build();
    }
}
