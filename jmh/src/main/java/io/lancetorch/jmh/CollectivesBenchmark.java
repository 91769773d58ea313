package io.lancetorch.jmh;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.distributed.Store;
import io.lancetorch.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.FileStore;
import org.bytedeco.pytorch.GlooDeviceVector;
import org.bytedeco.pytorch.ProcessGroupGloo;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.Work;
import org.bytedeco.pytorch.global.torch;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What one sum of a float tensor over two ranks costs, by Gloo over the loopback interface. Both ranks are threads of the fork, and
 * do {@value #OPERATIONS} of them at each invocation.
 *
 * <ul>
 *   <li>{@code lancetorch}: {@link ProcessGroup#allReduce}.
 *   <li>The peer, {@code presets}: the same class of libtorch, {@link ProcessGroupGloo}, by JNI.
 *   <li>The limit, {@code memcpy}: one copy of as many bytes, from one warm block to another.
 * </ul>
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class CollectivesBenchmark {
    static final int OPERATIONS = 10;
    private static final int RANKS = 2;
    private static final String HOST = "127.0.0.1";
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    /** Our two ranks. */
    @State(Scope.Thread)
    public static class Ours {
        @Param("1024")
        public int bytes;

        private final OtherRank other = new OtherRank();
        private Store store;
        private final Store[] stores = new Store[RANKS];
        private final ProcessGroup[] groups = new ProcessGroup[RANKS];
        private final Tensor[] tensors = new Tensor[RANKS];

        @Setup
        public void connect() {
            store = Store.tcp(HOST, 0, true, RANKS, TIMEOUT);
            other.both(this::connect);
        }

        private void connect(int rank) {
            stores[rank] = rank == 0 ? store : Store.tcp(HOST, store.port(), false, RANKS, TIMEOUT);
            groups[rank] = ProcessGroup.gloo(stores[rank], rank, RANKS, HOST, TIMEOUT);
            tensors[rank] = Tensor.of(new float[bytes / Float.BYTES]);
        }

        private void reduce(int rank) {
            for (int i = 0; i < OPERATIONS; i++) {
                groups[rank].allReduce(tensors[rank], ReduceOp.SUM);
            }
        }

        @TearDown
        public void close() {
            other.close();
            for (int rank = RANKS - 1; rank >= 0; rank--) {
                tensors[rank].close();
                groups[rank].close();
                stores[rank].close();
            }
        }
    }

    /** The presets' two ranks. */
    @State(Scope.Thread)
    public static class Presets {
        @Param("1024")
        public int bytes;

        private final OtherRank other = new OtherRank();
        private Path file;
        private final FileStore[] stores = new FileStore[RANKS];
        private final ProcessGroupGloo[] groups = new ProcessGroupGloo[RANKS];
        private final TensorVector[] tensors = new TensorVector[RANKS];

        @Setup
        public void connect() throws IOException {
            file = Files.createTempFile("lancetorch-bench", ".store");
            Files.delete(file);
            other.both(this::connect);
        }

        private void connect(int rank) {
            stores[rank] = new FileStore(file.toString(), RANKS);
            var options = new ProcessGroupGloo.Options();
            options.devices(new GlooDeviceVector(ProcessGroupGloo.createDeviceForHostname(HOST)));
            groups[rank] = new ProcessGroupGloo(stores[rank], rank, RANKS, options);
            tensors[rank] = new TensorVector(torch.zeros(bytes / Float.BYTES));
        }

        private void reduce(int rank) {
            for (int i = 0; i < OPERATIONS; i++) {
                try (Work work = groups[rank].allreduce(tensors[rank])) {
                    work._wait();
                }
            }
        }

        @TearDown
        public void close() throws IOException {
            other.close();
            for (int rank = RANKS - 1; rank >= 0; rank--) {
                groups[rank].close();
                stores[rank].close();
            }
            Files.deleteIfExists(file);
        }
    }

    /** Two blocks of memory. */
    @State(Scope.Thread)
    public static class Blocks {
        @Param("1024")
        public int bytes;

        private final Arena arena = Arena.ofConfined();
        private MemorySegment source;
        private MemorySegment target;

        @Setup
        public void make() {
            source = arena.allocate(bytes, 64).fill((byte) 1);
            target = arena.allocate(bytes, 64);
        }

        @TearDown
        public void free() {
            arena.close();
        }
    }

    @Benchmark
    @OperationsPerInvocation(OPERATIONS)
    public void lancetorch(Ours ours) {
        ours.other.both(ours::reduce);
    }

    @Benchmark
    @OperationsPerInvocation(OPERATIONS)
    public void presets(Presets presets) {
        presets.other.both(presets::reduce);
    }

    @Benchmark
    public void memcpy(Blocks blocks) {
        MemorySegment.copy(blocks.source, 0, blocks.target, 0, blocks.bytes);
    }
}
