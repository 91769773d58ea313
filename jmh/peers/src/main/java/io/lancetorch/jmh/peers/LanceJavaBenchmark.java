package io.lancetorch.jmh.peers;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.lance.Dataset;
import org.lance.ipc.LanceScanner;
import org.lance.ipc.ScanOptions;
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
 * Lance's Java SDK (JNI): a scan of float32[{@value #WIDTH}] in batches of {@value #BATCH} rows, and a take of {@value #TAKEN}
 * random rows; each to Arrow vectors, where the SDK ends, and from there copied into a tensor of the JavaCPP presets.
 */
@BenchmarkMode(Mode.Throughput)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class LanceJavaBenchmark {
    static final int ROWS = 100_000;
    static final int WIDTH = 768;
    static final int BATCH = 1024;
    static final int TAKEN = 256;
    static final int BYTES = ROWS * WIDTH * Float.BYTES;
    private static final String VECTOR = "vector";

    /** The dataset of vectors. */
    @State(Scope.Thread)
    public static class Input {
        private final SplittableRandom random = new SplittableRandom(1);
        private BufferAllocator allocator;
        private Dataset dataset;

        @Setup
        public void open() {
            allocator = new RootAllocator();
            String uri = Path.of(System.getProperty("lancetorch.bench.dir"), "vectors.lance")
                    .toString();
            dataset = Dataset.open().uri(uri).allocator(allocator).build();
            if (dataset.countRows() != ROWS) {
                throw new IllegalStateException(uri + " has not the " + ROWS + " rows of this benchmark");
            }
        }

        private LanceScanner scan() {
            return dataset.newScan(new ScanOptions.Builder()
                    .columns(List.of(VECTOR))
                    .batchSize(BATCH)
                    .build());
        }

        private ArrowReader take() throws IOException {
            List<Long> rows = new ArrayList<>(TAKEN);
            for (int i = 0; i < TAKEN; i++) {
                rows.add(random.nextLong(ROWS));
            }
            return dataset.take(rows, List.of(VECTOR));
        }

        @TearDown
        public void close() {
            dataset.close();
            allocator.close();
        }
    }

    /** What is done with each batch; returns its rows. */
    private interface Sink {
        long accept(VectorSchemaRoot batch);
    }

    private static long toVectors(VectorSchemaRoot batch) {
        return batch.getRowCount();
    }

    private static long toTensor(VectorSchemaRoot batch) {
        var vector = (FixedSizeListVector) batch.getVector(VECTOR);
        long address = vector.getDataVector().getDataBuffer().memoryAddress();
        try (Tensor alias = torch.from_blob(new Borrowed(address), batch.getRowCount(), WIDTH);
                Tensor tensor = alias.clone()) {
            return tensor.size(0);
        }
    }

    /** Memory that somebody else frees. */
    private static final class Borrowed extends Pointer {
        Borrowed(long at) {
            super((Pointer) null);
            address = at;
        }
    }

    @SuppressWarnings("try") // LanceScanner's close declares Exception
    private static void scan(Input input, Sink sink) throws Exception {
        long rows = 0;
        try (LanceScanner scanner = input.scan();
                ArrowReader reader = scanner.scanBatches()) {
            while (reader.loadNextBatch()) {
                rows += sink.accept(reader.getVectorSchemaRoot());
            }
        }
        require(ROWS, rows);
    }

    private static void take(Input input, Sink sink) throws IOException {
        long rows = 0;
        try (ArrowReader reader = input.take()) {
            while (reader.loadNextBatch()) {
                rows += sink.accept(reader.getVectorSchemaRoot());
            }
        }
        require(TAKEN, rows);
    }

    private static void require(long expected, long rows) {
        if (rows != expected) {
            throw new IllegalStateException(rows + " rows came, not " + expected);
        }
    }

    @Benchmark
    @OutputTimeUnit(TimeUnit.NANOSECONDS)
    @OperationsPerInvocation(BYTES)
    public void scan(Input input) throws Exception {
        scan(input, LanceJavaBenchmark::toVectors);
    }

    @Benchmark
    @OutputTimeUnit(TimeUnit.NANOSECONDS)
    @OperationsPerInvocation(BYTES)
    public void scanToTensors(Input input) throws Exception {
        scan(input, LanceJavaBenchmark::toTensor);
    }

    @Benchmark
    @OutputTimeUnit(TimeUnit.SECONDS)
    @OperationsPerInvocation(TAKEN)
    public void take(Input input) throws IOException {
        take(input, LanceJavaBenchmark::toVectors);
    }

    @Benchmark
    @OutputTimeUnit(TimeUnit.SECONDS)
    @OperationsPerInvocation(TAKEN)
    public void takeToTensor(Input input) throws IOException {
        take(input, LanceJavaBenchmark::toTensor);
    }
}
