package io.lancetorch.data;

import io.lancetorch.tensor.Tensor;
import java.util.Map;

/**
 * Makes the tensors that a loader hands out of those that it has read, such as a mixture of images, or ids padded to a length.
 * Called by the loader's threads, at most once at a time for each batch, and within a scope of its own.
 */
@FunctionalInterface
public interface Collate {
    /**
     * The tensors of the batch that is handed out; any of {@code read}'s may be among them. All others of {@code read}, and all
     * that is made on the way, are freed when this returns. An exception comes out at the batch's step.
     */
    Map<String, Tensor> collate(Batch read);
}
