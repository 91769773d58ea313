package io.lancetorch.data;

import java.util.function.LongUnaryOperator;

/** All rows in the dataset's own order: PyTorch's {@code SequentialSampler}. */
public record SequentialSampler() implements RowSampler {
    @Override
    public RowSequence rows(PlanRequest request) {
        return new RowSequence(request.totalRows(), LongUnaryOperator.identity());
    }
}
