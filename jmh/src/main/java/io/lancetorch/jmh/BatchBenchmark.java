package io.lancetorch.jmh;

import io.lancetorch.data.ColumnTensors;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Tensor;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Images a second on one thread, from the encoded rows in memory to a batch: a tensor of {@value #ROWS} images, float,
 * {@value DecodeBenchmark#SIDE} x {@value DecodeBenchmark#SIDE}, channels-last, and a tensor of their labels.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class BatchBenchmark {
    static final int ROWS = 64;

    /** The encoded rows. */
    @State(Scope.Thread)
    public static class Input {
        private final ImageDecoder decoder =
                new ImageDecoder(ImageTransform.resize(DecodeBenchmark.SIDE, DecodeBenchmark.SIDE), 0);
        private LanceDataset dataset;
        private RecordBatch records;

        @Setup
        public void open() {
            dataset = Inputs.photos();
            long[] rows = new long[ROWS];
            for (int i = 0; i < ROWS; i++) {
                rows[i] = i;
            }
            records = dataset.take(rows, Inputs.IMAGE, Inputs.LABEL);
        }

        @TearDown
        public void close() {
            records.close();
            dataset.close();
        }
    }

    @Benchmark
    @OperationsPerInvocation(ROWS)
    public long lancetorch(Input input) {
        try (Tensor images = Tensor.empty(
                        DType.FLOAT32,
                        Device.CPU,
                        MemoryFormat.CHANNELS_LAST,
                        false,
                        ROWS,
                        3,
                        DecodeBenchmark.SIDE,
                        DecodeBenchmark.SIDE);
                Tensor labels = ColumnTensors.alias(input.records.column(Inputs.LABEL))) {
            input.decoder.decode(input.records.column(Inputs.IMAGE), 0, ROWS, images.data());
            return images.size(0) + labels.size(0);
        }
    }
}
