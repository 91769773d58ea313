package io.lancetorch.jmh;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.lancetorch.data.Batch;
import io.lancetorch.data.ColumnFunction;
import io.lancetorch.data.ColumnTensors;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.FullScanSampler;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
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
 * How fast a column of float32[{@value Inputs#WIDTH}] becomes tensors of {@value #BATCH} rows, in GB/s: one full scan of
 * {@value Inputs#ROWS} rows, which lie in the page cache, in one fragment.
 *
 * <ul>
 *   <li>{@code lancetorch}: a {@link DataLoader}, whose tensors alias Lance's memory; {@code lancetorch-scan}: the same
 *       without the loader's threads, {@link Scan} and {@link ColumnTensors#alias}.
 *   <li>The baselines, {@code copying} and {@code copying-by-heap}: the same loader with a function that copies the column
 *       into a tensor of its own, at once or, as a reader without native memory must, by way of a {@code float[]}.
 *   <li>To compare, {@code bare-scan}: the record batches alone, no tensors.
 *   <li>{@code memcpy}, to compare: as many bytes from one warm block of memory to another, batch by batch.
 * </ul>
 *
 * Run it with {@code ./lancetorch bench scan}, which writes the dataset first where it is not there.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class ScanBenchmark {
    static final int BATCH = 1024;
    /** Bytes of the column, so that operations a nanosecond are GB/s. */
    static final int BYTES = Inputs.ROWS * Inputs.WIDTH * Float.BYTES;

    /** The dataset and three loaders. */
    @State(Scope.Benchmark)
    public static class Input {
        LanceDataset dataset;
        DataLoader loader;
        DataLoader copying;
        DataLoader copyingByHeap;

        @Setup
        public void open() {
            dataset = Inputs.vectors();
            loader = loader().open();
            copying = loader().column(Inputs.VECTOR, copyOf(false)).open();
            copyingByHeap = loader().column(Inputs.VECTOR, copyOf(true)).open();
        }

        private DataLoader.Builder loader() {
            return DataLoader.of(dataset)
                    .columns(Inputs.VECTOR)
                    .sampler(new FullScanSampler())
                    .batchSize(BATCH);
        }

        private static ColumnFunction copyOf(boolean byHeap) {
            return column -> {
                MemorySegment values = values(column);
                if (byHeap) {
                    return Tensor.of(values.toArray(JAVA_FLOAT), column.length(), Inputs.WIDTH);
                }
                Tensor tensor = Tensor.empty(DType.FLOAT32, column.length(), Inputs.WIDTH);
                tensor.data().copyFrom(values);
                return tensor;
            };
        }

        private static MemorySegment values(Column column) {
            Column items = column.child(0);
            long first = column.offset() * Inputs.WIDTH + items.offset();
            long bytes = column.length() * Inputs.WIDTH * Float.BYTES;
            return MemorySegment.ofAddress(items.buffer(1).address() + first * Float.BYTES)
                    .reinterpret(bytes);
        }

        @TearDown
        public void close() {
            loader.close();
            copying.close();
            copyingByHeap.close();
            dataset.close();
        }
    }

    /** Two blocks of one batch each. */
    @State(Scope.Benchmark)
    public static class Blocks {
        private final Arena arena = Arena.ofShared();
        MemorySegment source;
        MemorySegment target;

        @Setup
        public void make() {
            source = arena.allocate(BATCH * Inputs.WIDTH * (long) Float.BYTES, 64);
            target = arena.allocate(source.byteSize(), 64);
            source.fill((byte) 1);
        }

        @TearDown
        public void free() {
            arena.close();
        }
    }

    private static void read(DataLoader loader) {
        long rows = 0;
        for (Batch batch : loader) {
            rows += batch.get(Inputs.VECTOR).size(0);
        }
        requireAll(rows);
    }

    private static void requireAll(long rows) {
        if (rows != Inputs.ROWS) {
            throw new IllegalStateException("a scan of " + Inputs.ROWS + " rows gave " + rows);
        }
    }

    @Benchmark
    @OperationsPerInvocation(BYTES)
    public void lancetorch(Input input) {
        read(input.loader);
    }

    @Benchmark
    @OperationsPerInvocation(BYTES)
    public void copying(Input input) {
        read(input.copying);
    }

    @Benchmark
    @OperationsPerInvocation(BYTES)
    public void copyingByHeap(Input input) {
        read(input.copyingByHeap);
    }

    @Benchmark
    @OperationsPerInvocation(BYTES)
    public void lancetorchScan(Input input) {
        long rows = 0;
        try (Scan scan = scan(input)) {
            for (RecordBatch records = scan.next(); records != null; records = scan.next()) {
                try (Tensor tensor = ColumnTensors.alias(records.column(0))) {
                    rows += tensor.size(0);
                } finally {
                    records.close();
                }
            }
        }
        requireAll(rows);
    }

    @Benchmark
    @OperationsPerInvocation(BYTES)
    public void bareScan(Input input) {
        long rows = 0;
        try (Scan scan = scan(input)) {
            for (RecordBatch records = scan.next(); records != null; records = scan.next()) {
                rows += records.rows();
                records.close();
            }
        }
        requireAll(rows);
    }

    private static Scan scan(Input input) {
        return input.dataset.scan().columns(Inputs.VECTOR).batchSize(BATCH).open();
    }

    @Benchmark
    @OperationsPerInvocation(BYTES)
    public void memcpy(Blocks blocks) {
        long size = blocks.source.byteSize();
        for (long left = BYTES; left > 0; left -= size) {
            long bytes = Math.min(left, size);
            MemorySegment.copy(blocks.source, 0, blocks.target, 0, bytes);
        }
    }
}
