package io.lancetorch.cookbook;

import io.lancetorch.interop.ArrowInterop;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.IOException;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.ipc.ArrowReader;

/** Arrow Java's vectors over Lance's memory, and tensors over Arrow Java's. */
final class ArrowVectors {
    private ArrowVectors() {}

    // START SNIPPET: arrow
    /** Reads a column as Arrow Java's vectors, and each batch of it as a tensor as well. */
    static long sumOfLabels(LanceDataset dataset) throws IOException {
        long sum = 0;
        try (BufferAllocator allocator = new RootAllocator();
                ArrowReader reader = ArrowInterop.reader(
                        allocator, dataset.scan().columns("label").open())) {
            while (reader.loadNextBatch()) {
                var root = reader.getVectorSchemaRoot();
                var labels = (BigIntVector) root.getVector("label");
                long first = labels.getValueCount() == 0 ? 0 : labels.get(0);
                try (var _ = new TensorScope()) {
                    Map<String, Tensor> tensors = ArrowInterop.tensors(allocator, root); // no copy either
                    Tensor label = tensors.get("label");
                    assert label.size(0) == 0 || label.toLongs()[0] == first;
                    sum += Ops.sum(label).itemLong();
                }
            }
        }
        return sum;
    }
    // END SNIPPET: arrow
}
