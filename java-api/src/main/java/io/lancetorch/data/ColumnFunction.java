package io.lancetorch.data;

import io.lancetorch.lance.Column;
import io.lancetorch.tensor.Tensor;

/** A user's way to make a tensor of a column. Called on the loader's threads, for several batches at once. */
@FunctionalInterface
public interface ColumnFunction {
    /**
     * Makes the tensor, whose first dimension must be the column's length. The column is closed after the call; the loader
     * takes the tensor over, and frees all others that the call makes.
     */
    Tensor apply(Column column);
}
