package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.RowSelection;
import java.util.function.LongUnaryOperator;

/**
 * Some of the rows, in another random order each epoch: PyTorch's {@code SubsetRandomSampler}. {@link SubsetSampler} makes a
 * subset for any other sampler.
 */
public final class SubsetRandomSampler implements RowSampler {
    private final long[] positions;
    private final RowSelection selection;

    /**
     * Of rows by their positions in the dataset; one that is there twice comes twice.
     *
     * @throws InvalidArgumentException for a negative one
     */
    public SubsetRandomSampler(long... positions) {
        this.positions = positions.clone();
        selection = null;
        for (int i = 0; i < positions.length; i++) {
            if (positions[i] < 0) {
                throw new InvalidArgumentException("row " + positions[i] + " at index " + i + ": rows count from 0");
            }
        }
    }

    /** Of the rows of a selection. */
    public SubsetRandomSampler(RowSelection selection) {
        positions = null;
        this.selection = selection;
    }

    @Override
    public RowSequence rows(PlanRequest request) {
        var dataset = new RowPositions(request.fragments());
        long size = positions == null ? selection.rows() : positions.length;
        LongUnaryOperator order = request.order(size, true);
        LongUnaryOperator subset = positions == null ? selected(dataset) : listed(dataset.total());
        return new RowSequence(size, order.andThen(subset));
    }

    private LongUnaryOperator listed(long total) {
        return i -> {
            long row = positions[(int) i];
            if (row >= total) {
                throw new InvalidArgumentException(
                        "row " + row + " at index " + i + " of a subset of a dataset of " + total + " rows");
            }
            return row;
        };
    }

    private LongUnaryOperator selected(RowPositions dataset) {
        long[] starts = dataset.starts(selection);
        var numbers = new RowPositions(selection.fragments());
        return i -> {
            int place = numbers.fragment(i);
            Fragment fragment = selection.fragments().get(place);
            return starts[place] + selection.row(fragment.id(), i - numbers.start(place));
        };
    }
}
