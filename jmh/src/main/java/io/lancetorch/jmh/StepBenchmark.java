package io.lancetorch.jmh;

import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.HealthCheck;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.Store;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
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
 * What it costs a training step that ranks watch each other: two parameters of {@value #WIDTH} x {@value #WIDTH}, each multiplied with
 * an input of that size, their 8 MB of gradients averaged by Gloo over the loopback interface, and SGD. Both ranks are threads of the
 * fork, with a libtorch thread each; there is no matrix product, since OpenBLAS makes the threads of a process wait for each other.
 *
 * <ul>
 *   <li>{@code watched}: each rank says its step, has a {@link HealthCheck}, and explains what fails.
 *   <li>The peer: the same step with Python's class over the same reducer, in two processes.
 *   <li>The limit: the same step of ours, not watched.
 * </ul>
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 10, time = 1)
@Fork(3)
public class StepBenchmark {
    static final int OPERATIONS = 10;
    static final int WIDTH = 1024;
    private static final int RANKS = 2;
    private static final String HOST = "127.0.0.1";
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    /** The two ranks. */
    @State(Scope.Thread)
    public static class World {
        @Param("true")
        public boolean watched;

        private final OtherRank other = new OtherRank();
        private Store store;
        private final Rank[] ranks = new Rank[RANKS];

        @Setup
        public void connect() {
            store = Store.tcp(HOST, 0, true, RANKS, TIMEOUT);
            other.both(this::connect);
        }

        private void connect(int rank) {
            Torch.numThreads(1); // of the calling thread: OpenMP counts them for each
            Store own = rank == 0 ? store : Store.tcp(HOST, store.port(), false, RANKS, TIMEOUT);
            ranks[rank] = new Rank(own, rank, watched);
        }

        private void train(int rank) {
            for (int i = 0; i < OPERATIONS; i++) {
                ranks[rank].step();
            }
        }

        @TearDown
        public void close() {
            other.both(rank -> ranks[rank].close());
            ranks[1].store.close();
            ranks[0].store.close();
            other.close();
        }
    }

    /** A model on a rank, used by one thread. */
    private static final class Rank {
        private final boolean watched;
        private final Store store;
        private final ProcessGroup group;
        private final List<Tensor> parameters = new ArrayList<>();
        private final Tensor input;
        private final DistributedDataParallel ddp;
        private final Optimizer sgd;
        private long step;

        Rank(Store store, int rank, boolean watched) {
            this.watched = watched;
            this.store = store;
            HealthCheck check = watched ? HealthCheck.DEFAULT : HealthCheck.NONE;
            group = ProcessGroup.gloo(store, rank, RANKS, HOST, TIMEOUT, TIMEOUT, check);
            for (int i = 0; i < 2; i++) {
                parameters.add(Ops.ones(DType.FLOAT32, WIDTH, WIDTH).requiresGrad(true));
            }
            input = Ops.ones(DType.FLOAT32, WIDTH, WIDTH);
            ddp = new DistributedDataParallel(group, parameters, List.of());
            sgd = Optimizer.sgd(parameters, 1e-9, 0, 0);
        }

        void step() {
            try (var _ = new TensorScope()) {
                if (watched) {
                    group.step(step++);
                }
                sgd.zeroGrad();
                Tensor loss = ddp.forward(
                        () -> Ops.mean(Ops.add(Ops.mul(parameters.get(0), input), Ops.mul(parameters.get(1), input))));
                if (watched) {
                    ddp.backward(loss);
                } else {
                    loss.backward();
                }
                sgd.step();
            }
        }

        void close() {
            sgd.close();
            ddp.close();
            input.close();
            parameters.forEach(Tensor::close);
            group.close();
        }
    }

    @Benchmark
    @OperationsPerInvocation(OPERATIONS)
    public void train(World world) {
        world.other.both(world::train);
    }
}
