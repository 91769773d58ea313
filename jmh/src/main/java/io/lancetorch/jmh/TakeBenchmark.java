package io.lancetorch.jmh;

import io.lancetorch.data.ColumnTensors;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.tensor.Tensor;
import java.util.SplittableRandom;
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
 * Rows a second, one take after another: {@value #ROWS} random rows of float32[{@value Inputs#WIDTH}], other ones each time, of a
 * dataset of {@value Inputs#ROWS} rows that lie in the page cache, to a tensor that aliases Lance's memory.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class TakeBenchmark {
    static final int ROWS = 256;

    /** The dataset and the row numbers. */
    @State(Scope.Thread)
    public static class Input {
        private final SplittableRandom random = new SplittableRandom(1);
        private final long[] rows = new long[ROWS];
        private LanceDataset dataset;

        @Setup
        public void open() {
            dataset = Inputs.vectors();
        }

        @TearDown
        public void close() {
            dataset.close();
        }
    }

    @Benchmark
    @OperationsPerInvocation(ROWS)
    public long lancetorch(Input input) {
        for (int i = 0; i < ROWS; i++) {
            input.rows[i] = input.random.nextLong(Inputs.ROWS);
        }
        try (RecordBatch records = input.dataset.take(input.rows, Inputs.VECTOR);
                Tensor tensor = ColumnTensors.alias(records.column(0))) {
            return tensor.size(0);
        }
    }
}
