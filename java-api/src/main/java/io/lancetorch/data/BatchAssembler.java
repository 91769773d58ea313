package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.RowRange;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/** Makes the tensors of a step: those that alias a column at once, and those that cost time as tasks for the pipeline. */
final class BatchAssembler {
    private final Map<String, ImageTransform> images;
    private final Map<String, ColumnFunction> functions;
    private final Plan plan;
    private final AtomicLong nanos;

    BatchAssembler(
            Map<String, ImageTransform> images, Map<String, ColumnFunction> functions, Plan plan, AtomicLong nanos) {
        this.images = images;
        this.functions = functions;
        this.plan = plan;
        this.nanos = nanos;
    }

    /** The tensors as far as they are there, and what is left to do. */
    record Started(Map<String, Tensor> tensors, List<Runnable> tasks) {}

    /** {@code records} must stay open until all tasks are done. {@code parts}: into how many tasks to divide a column. */
    Started start(int step, RecordBatch records, int parts) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        List<Runnable> tasks = new ArrayList<>();
        try {
            for (int i = 0; i < records.schema().fields().size(); i++) {
                Column column = records.column(i);
                String name = column.field().name();
                ImageTransform transform = images.get(name);
                ColumnFunction function = functions.get(name);
                if (transform != null) {
                    Tensor tensor = Tensor.empty(
                            transform.pixel() == ImageCodec.Pixel.UINT8
                                    ? io.lancetorch.tensor.DType.UINT8
                                    : io.lancetorch.tensor.DType.FLOAT32,
                            Device.CPU,
                            MemoryFormat.CHANNELS_LAST,
                            false,
                            records.rows(),
                            3,
                            transform.height(),
                            transform.width());
                    tensors.put(name, tensor);
                    addDecoding(step, column, transform.options(), tensor, parts, tasks);
                } else if (function != null) {
                    tensors.put(name, null);
                    tasks.add(timed(() -> {
                        Tensor tensor = apply(step, column, function);
                        synchronized (tensors) {
                            tensors.put(name, tensor);
                        }
                    }));
                } else {
                    tensors.put(name, ColumnTensors.alias(column));
                }
            }
        } catch (CorruptDataException e) {
            close(tensors);
            throw new CorruptDataException("step " + step + ", " + e.getMessage() + where(step, e.row()), e.row());
        } catch (RuntimeException | Error e) {
            close(tensors);
            throw e;
        }
        return new Started(tensors, tasks);
    }

    static void close(Map<String, Tensor> tensors) {
        for (Tensor tensor : tensors.values()) {
            if (tensor != null) {
                tensor.close();
            }
        }
    }

    private void addDecoding(
            int step, Column column, ImageCodec.Options options, Tensor tensor, int parts, List<Runnable> tasks) {
        long rows = column.length();
        long part = Math.max(1, (rows + parts - 1) / parts);
        var pixels = tensor.data();
        for (long first = 0; first < rows; first += part) {
            long begin = first;
            long count = Math.min(part, rows - first);
            tasks.add(timed(() -> {
                try {
                    ImageCodec.decode(
                            column,
                            begin,
                            count,
                            options,
                            pixels.asSlice(begin * options.imageBytes(), count * options.imageBytes()));
                } catch (CorruptDataException e) {
                    throw new CorruptDataException(
                            "step " + step + ", " + e.getMessage() + where(step, e.row()), e.row());
                }
            }));
        }
    }

    private Runnable timed(Runnable task) {
        return () -> {
            long start = System.nanoTime();
            try {
                task.run();
            } finally {
                nanos.addAndGet(System.nanoTime() - start);
            }
        };
    }

    /** Says which row of which fragment is row {@code row} of the step. */
    private String where(int step, long row) {
        long left = row;
        for (RowRange range : plan.ranges(step)) {
            if (left >= 0 && left < range.rows()) {
                return " (fragment " + range.fragmentId() + ", row " + (range.begin() + left) + ")";
            }
            left -= range.rows();
        }
        return "";
    }

    private static Tensor apply(int step, Column column, ColumnFunction function) {
        try (var _ = new TensorScope()) {
            Tensor tensor = function.apply(column);
            if (tensor == null || tensor.shape().length == 0 || tensor.size(0) != column.length()) {
                throw new InvalidArgumentException("step " + step + ": the function for column "
                        + column.field().name() + " gave " + tensor + " for " + column.length() + " rows");
            }
            return TensorScope.detach(tensor);
        }
    }
}
