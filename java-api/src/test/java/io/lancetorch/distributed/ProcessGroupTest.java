package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.testing.Devices;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class ProcessGroupTest {
    private static final Duration LATER = Duration.ofSeconds(30);

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4})
    void collectivesGiveEveryRankTheSame(int world) throws InterruptedException {
        List<String> results = Ranks.run(world, String.class, group -> {
            int rank = group.rank();
            assertThat(group.worldSize()).isEqualTo(world);
            List<float[]> seen = new ArrayList<>();
            for (ReduceOp op : ReduceOp.values()) {
                Tensor tensor = Tensor.of(new float[] {rank + 1, -rank, 2});
                group.allReduce(tensor, op);
                seen.add(tensor.toFloats());
            }
            int sum = world * (world + 1) / 2;
            int factorial = 1;
            for (int i = 2; i <= world; i++) {
                factorial *= i;
            }
            assertThat(seen.get(ReduceOp.SUM.ordinal())).containsExactly(sum, world - sum, 2 * world);
            assertThat(seen.get(ReduceOp.AVERAGE.ordinal()))
                    .containsExactly((float) sum / world, (float) (world - sum) / world, 2);
            assertThat(seen.get(ReduceOp.PRODUCT.ordinal())[0]).isEqualTo(factorial);
            assertThat(seen.get(ReduceOp.MINIMUM.ordinal())).containsExactly(1, 1 - world, 2);
            assertThat(seen.get(ReduceOp.MAXIMUM.ordinal())).containsExactly(world, 0, 2);

            Tensor sent = Tensor.of(new long[] {rank, 10L * rank});
            group.broadcast(sent, world - 1);
            assertThat(sent.toLongs()).containsExactly(world - 1, 10L * (world - 1));

            List<Tensor> gathered = new ArrayList<>();
            List<Tensor> parts = new ArrayList<>();
            for (int i = 0; i < world; i++) {
                gathered.add(Ops.zeros(DType.FLOAT64, 2));
                parts.add(Tensor.of(new double[] {rank, i}));
            }
            group.allGather(gathered, Tensor.of(new double[] {rank, -rank}));
            for (int i = 0; i < world; i++) {
                assertThat(gathered.get(i).toDoubles()).containsExactly(i, -i);
            }
            Tensor part = Ops.zeros(DType.FLOAT64, 2);
            group.reduceScatter(part, parts, ReduceOp.SUM);
            assertThat(part.toDoubles()).containsExactly(world * (world - 1) / 2.0, (double) world * rank);
            group.barrier();
            return seen.stream().map(Arrays::toString).toList().toString();
        });
        assertThat(results).hasSize(world).allMatch(results.getFirst()::equals);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void rootedCollectivesAndExchangesGiveEachRankItsPart(int world) throws InterruptedException {
        Ranks.run(world, Boolean.class, group -> {
            int rank = group.rank();
            int root = world - 1;
            int sum = world * (world + 1) / 2;
            Tensor reduced = Tensor.of(new float[] {rank + 1, 1});
            group.reduce(reduced, root, ReduceOp.AVERAGE);
            if (rank == root) {
                assertThat(reduced.toFloats()).containsExactly((float) sum / world, 1);
            }

            List<Tensor> several =
                    List.of(Tensor.of(new float[] {rank + 1}), Tensor.of(new float[] {2, rank, 0}, 3, 1));
            group.allReduce(several, ReduceOp.SUM);
            assertThat(several.get(0).toFloats()).containsExactly(sum);
            assertThat(several.get(1).toFloats()).containsExactly(2 * world, sum - world, 0);

            Tensor whole = Ops.zeros(DType.INT16, 2L * world, 2);
            Tensor mine = Tensor.of(new int[] {rank, 1, 2, rank}, 2, 2).to(DType.INT16);
            group.allGather(whole, mine);
            for (int i = 0; i < world; i++) {
                assertThat(Ops.narrow(whole, 0, 2L * i, 2).toLongs()).containsExactly(i, 1, 2, i);
            }
            Tensor part = Ops.zeros(DType.FLOAT32, 1, 3);
            Tensor all = Ops.reshape(Ops.arange(3L * world).to(DType.FLOAT32), world, 3);
            group.reduceScatter(part, all, ReduceOp.SUM);
            assertThat(part.toFloats())
                    .containsExactly(world * 3f * rank, world * (3f * rank + 1), world * (3f * rank + 2));

            List<Tensor> gathered = new ArrayList<>();
            List<Tensor> dealt = new ArrayList<>();
            List<Tensor> arriving = new ArrayList<>();
            List<Tensor> leaving = new ArrayList<>();
            for (int i = 0; i < world; i++) {
                gathered.add(Ops.zeros(DType.BOOL, 2));
                dealt.add(Tensor.of(new long[] {i, 7}));
                // To rank i go rank + 1 values of 10 * rank + i: each pair has a size of its own.
                leaving.add(Ops.fillInPlace(Tensor.empty(DType.FLOAT64, rank + 1, i + 1), 10 * rank + i));
                arriving.add(Ops.zeros(DType.FLOAT64, i + 1, rank + 1));
            }
            group.gather(
                    rank == root ? gathered : null,
                    Tensor.of(new long[] {rank, 0}).to(DType.BOOL),
                    root);
            for (int i = 0; i < world && rank == root; i++) {
                assertThat(gathered.get(i).toLongs()).containsExactly(i == 0 ? 0 : 1, 0);
            }
            Tensor given = Ops.zeros(DType.INT64, 2);
            group.scatter(given, rank == root ? dealt : null, root);
            assertThat(given.toLongs()).containsExactly(rank, 7);
            group.allToAll(arriving, leaving);
            for (int i = 0; i < world; i++) {
                assertThat(arriving.get(i).toDoubles())
                        .hasSize((i + 1) * (rank + 1))
                        .containsOnly(10 * i + rank);
            }
            assertThatThrownBy(() -> group.scatter(given, rank == root ? null : dealt, root))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("rank " + root);
            group.barrier();
            return true;
        });
    }

    @Test
    void tensorsGoFromOneRankToAnother() throws InterruptedException {
        Ranks.run(3, Boolean.class, group -> {
            int next = (group.rank() + 1) % 3;
            int previous = (group.rank() + 2) % 3;
            Tensor received = Ops.zeros(DType.FLOAT32, 1000);
            try (Work sending = group.sendAsync(
                            Ops.fillInPlace(Tensor.empty(DType.FLOAT32, 1000), group.rank()), next, 5, LATER);
                    Work receiving = group.receiveAsync(received, previous, 5, LATER)) {
                receiving.await();
                sending.await(LATER);
                assertThat(sending.isDone()).isTrue();
            }
            assertThat(received.toFloats()).containsOnly(previous);
            Tensor token = Tensor.of(new long[] {0});
            if (group.rank() == 0) {
                group.send(Tensor.of(new long[] {42}), 2, 0);
            } else if (group.rank() == 2) {
                group.receive(token, 0, 0);
                assertThat(token.itemLong()).isEqualTo(42);
            }
            assertThatThrownBy(() -> group.send(token, group.rank(), 0)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> group.send(token, 3, 0)).isInstanceOf(InvalidArgumentException.class);
            group.barrier();
            return true;
        });
        assertThat(Torch.liveHandles(Torch.Kind.WORK)).isZero();
    }

    @Test
    void whatNobodySendsEndsAtItsDeadline() throws InterruptedException {
        List<Object> outcomes = Ranks.outcomes(2, Duration.ofSeconds(20), group -> {
            if (group.rank() == 0) {
                try (Work work = group.receiveAsync(Ops.zeros(DType.FLOAT32, 2), 1, 9, Duration.ofMillis(300))) {
                    work.await();
                }
            } else {
                Thread.sleep(1500);
            }
            return "done";
        });
        assertThat(outcomes.get(0)).isInstanceOf(DeadlineException.class);
    }

    @Test
    void nextToGlooThereIsNcclWhereThereIsAGpu() throws InterruptedException {
        if (!Devices.hasCuda()) {
            List<Object> outcomes = Ranks.outcomes(1, Duration.ofSeconds(20), group -> group.useNccl(Device.cuda(0)));
            assertThat(outcomes.getFirst())
                    .isInstanceOf(UnsupportedException.class)
                    .extracting(Object::toString)
                    .asString()
                    .containsAnyOf("./lancetorch build --libtorch", "NVIDIA driver", "No CUDA GPUs");
        }
        Device gpu = Devices.requireCuda();
        Ranks.run(1, Boolean.class, group -> {
            group.useNccl(gpu);
            for (DType dtype : new DType[] {DType.FLOAT32, DType.BFLOAT16, DType.INT64}) {
                Tensor there = Ops.ones(DType.FLOAT32, 1000).to(dtype).to(gpu);
                group.allReduce(there, ReduceOp.SUM);
                assertThat(there.toFloats()).containsOnly(1);
            }
            Tensor here = Ops.ones(DType.FLOAT32, 3);
            group.allReduce(here, ReduceOp.AVERAGE);
            assertThat(here.toFloats()).containsOnly(1);
            Tensor mean = Ops.fillInPlace(Ops.ones(DType.FLOAT32, 5).to(gpu), 4);
            try (Work work = group.allReduceAsync(mean, ReduceOp.AVERAGE, LATER)) {
                work.await(LATER);
                assertThat(work.isDone()).isTrue();
            }
            assertThat(mean.toFloats()).containsOnly(4);
            group.allReduce(List.of(mean, Ops.ones(DType.FLOAT32, 7).to(gpu)), ReduceOp.SUM);
            group.broadcast(mean, 0);
            group.reduce(mean, 0, ReduceOp.MAXIMUM);
            Tensor whole = Ops.zeros(DType.FLOAT32, 5).to(gpu);
            group.allGather(whole, mean);
            assertThat(whole.toFloats()).containsOnly(4);
            group.allGather(List.of(whole), mean);
            group.reduceScatter(whole, mean, ReduceOp.SUM);
            group.reduceScatter(whole, List.of(mean), ReduceOp.SUM);
            group.gather(List.of(whole), mean, 0);
            group.scatter(whole, List.of(mean), 0);
            group.allToAll(List.of(whole), List.of(mean));
            assertThat(whole.toFloats()).containsOnly(4);
            group.barrier();
            return true;
        });
    }

    @Test
    void largeTensorsAndManyAtOnceAreReduced() throws InterruptedException {
        Ranks.run(2, Boolean.class, group -> {
            List<Work> works = new ArrayList<>();
            List<Tensor> tensors = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                Tensor tensor = Ops.fillInPlace(Tensor.empty(DType.FLOAT32, 100_000), i + group.rank());
                tensors.add(tensor);
                works.add(group.allReduceAsync(tensor, ReduceOp.SUM, LATER));
            }
            for (int i = 0; i < 8; i++) {
                try (Work work = works.get(i)) {
                    work.await();
                    assertThat(work.isDone()).isTrue();
                    work.await();
                }
                assertThat(tensors.get(i).toFloats()).containsOnly(2 * i + 1);
            }
            return true;
        });
    }

    @Test
    void workKeepsItsTensorAliveAndMayBeClosedUnderWay() throws InterruptedException {
        Ranks.run(2, Boolean.class, group -> {
            Tensor tensor = Ops.ones(DType.FLOAT32, 50_000);
            Work work = group.allReduceAsync(tensor, ReduceOp.SUM, LATER);
            tensor.close();
            work.await();
            work.close();
            work.close();
            assertThatThrownBy(work::await)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("all-reduce");
            group.allReduceAsync(Ops.ones(DType.FLOAT32, 10), ReduceOp.SUM, LATER)
                    .close();
            group.barrier();
            return true;
        });
        assertThat(Torch.liveHandles(Torch.Kind.WORK)).isZero();
    }

    // ---- what goes wrong ----

    @Test
    void rankThatDoesNotComeIsWaitedForNoLongerThanSaid() throws Exception {
        try (Store store = Store.tcp("127.0.0.1", 0, true, 2, LATER)) {
            long start = System.nanoTime();
            assertThatThrownBy(() -> ProcessGroup.gloo(store, 0, 2, "127.0.0.1", Duration.ofSeconds(1)))
                    .isInstanceOf(DeadlineException.class)
                    .hasMessageContaining("rank 0 of 2");
            assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(20));
        }
    }

    @Test
    void rankThatIsLateAtACollectiveIsWaitedForNoLongerThanSaid() throws Exception {
        var over = new CountDownLatch(1);
        List<Object> outcomes = Ranks.outcomes(2, LATER, group -> {
            if (group.rank() == 1) {
                over.await();
                return null;
            }
            long start = System.nanoTime();
            try (Work work = group.allReduceAsync(Ops.ones(DType.FLOAT32, 4), ReduceOp.SUM, Duration.ofMillis(700))) {
                return catchThrowable(work::await);
            } finally {
                over.countDown();
                assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(15));
            }
        });
        assertThat(outcomes.get(0))
                .isInstanceOf(DeadlineException.class)
                .asInstanceOf(org.assertj.core.api.InstanceOfAssertFactories.THROWABLE)
                .hasMessageContainingAll("all-reduce", "rank 0 of 2");
        assertThat(outcomes.get(1)).isNull();
    }

    @Test
    void awaitGoesOnlyAsFarAsItIsTold() throws Exception {
        var over = new CountDownLatch(1);
        List<Object> outcomes = Ranks.outcomes(2, LATER, group -> {
            if (group.rank() == 1) {
                over.await();
            }
            Tensor tensor = Ops.ones(DType.FLOAT32, 4);
            try (Work work = group.allReduceAsync(tensor, ReduceOp.SUM, LATER)) {
                if (group.rank() == 0) {
                    assertThat(work.isDone()).isFalse();
                    over.countDown();
                }
                work.await();
                return tensor.toFloats()[0];
            }
        });
        assertThat(outcomes).containsExactly(2f, 2f);
    }

    @Test
    void rankThatLeavesIsAnErrorOfTheOthers() throws Exception {
        List<Object> outcomes = Ranks.outcomes(3, LATER, group -> {
            group.barrier();
            if (group.rank() == 2) {
                return "gone";
            }
            long start = System.nanoTime();
            Throwable thrown = catchThrowable(() -> {
                try (Work work =
                        group.allReduceAsync(Ops.ones(DType.FLOAT32, 1000), ReduceOp.SUM, Duration.ofSeconds(5))) {
                    work.await();
                }
            });
            assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(20));
            return thrown;
        });
        assertThat(outcomes.get(2)).isEqualTo("gone");
        assertThat(outcomes.subList(0, 2))
                .allSatisfy(outcome ->
                        assertThat(outcome).isInstanceOfAny(PeerFailedException.class, DeadlineException.class))
                .anySatisfy(outcome -> assertThat(outcome).isInstanceOf(PeerFailedException.class));
    }

    @Test
    void rankBeyondTheWorldIsRefused() {
        try (Store store = Store.tcp("127.0.0.1", 0, true, 2, LATER)) {
            for (int rank : new int[] {2, 7, -1}) {
                assertThatThrownBy(() -> ProcessGroup.gloo(store, rank, 2, null, LATER))
                        .isInstanceOf(InvalidArgumentException.class)
                        .hasMessageContaining("rank " + rank);
            }
        }
    }

    @Test
    void argumentsThatCannotBeAreRefusedAndTheGroupGoesOn() throws InterruptedException {
        Ranks.run(2, Boolean.class, group -> {
            Tensor good = Ops.ones(DType.FLOAT32, 2);
            Tensor gaps = Ops.narrow(Ops.ones(DType.FLOAT32, 4, 4), 1, 0, 2);
            assertThatThrownBy(() -> group.allReduce(gaps, ReduceOp.SUM)).isInstanceOf(LanceTorchException.class);
            assertThatThrownBy(() -> group.broadcast(good, 2)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> group.broadcast(good, -1)).isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> group.allGather(List.of(good), good))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("1 outputs for 2 ranks");
            assertThatThrownBy(() -> group.allGather(List.of(good, Ops.ones(DType.FLOAT32, 3)), good))
                    .isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> group.reduceScatter(good, List.of(good, good, good), ReduceOp.SUM))
                    .isInstanceOf(InvalidArgumentException.class);
            Tensor closed = Ops.ones(DType.FLOAT32, 2);
            closed.close();
            assertThatThrownBy(() -> group.allReduce(closed, ReduceOp.SUM)).isInstanceOf(IllegalStateException.class);
            group.allReduce(good, ReduceOp.SUM);
            assertThat(good.toFloats()).containsExactly(2, 2);
            return true;
        });
    }

    @Test
    void useAfterCloseNamesTheRank() {
        try (Store store = Store.tcp("127.0.0.1", 0, true, 1, LATER)) {
            var group = ProcessGroup.gloo(store, 0, 1, "127.0.0.1", LATER);
            group.close();
            group.close();
            assertThatThrownBy(group::barrier)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("rank 0");
        }
    }

    // ---- by torchrun's variables ----

    private static RankEnvironment environment(int rank, int world, int port, boolean agent, int restart) {
        return new RankEnvironment(rank, rank, world, "127.0.0.1", port, agent, restart);
    }

    @Test
    void ranksOfALauncherFindEachOther() throws Exception {
        int port = Ranks.freePort();
        List<Thread> threads = new ArrayList<>();
        float[] sums = new float[3];
        for (int i = 0; i < 3; i++) {
            int rank = i;
            threads.add(Thread.ofPlatform().start(() -> {
                try (var group = ProcessGroup.fromEnvironment(environment(rank, 3, port, false, 0), LATER);
                        var _ = new TensorScope()) {
                    Tensor tensor = Tensor.of(new float[] {rank});
                    group.allReduce(tensor, ReduceOp.SUM);
                    sums[rank] = tensor.toFloats()[0];
                    group.barrier();
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(sums).containsExactly(3, 3, 3);
    }

    @Test
    void agentsStoreServesManyStarts() throws Exception {
        try (Store agent = Store.tcp("127.0.0.1", 0, true, -1, LATER)) {
            for (int restart = 0; restart < 2; restart++) {
                int attempt = restart;
                float[] sums = new float[2];
                List<Thread> threads = new ArrayList<>();
                for (int i = 0; i < 2; i++) {
                    int rank = i;
                    threads.add(Thread.ofPlatform().start(() -> {
                        var environment = environment(rank, 2, agent.port(), true, attempt);
                        try (var group = ProcessGroup.fromEnvironment(environment, LATER);
                                Tensor tensor = Tensor.of(new float[] {rank + 1})) {
                            group.allReduce(tensor, ReduceOp.SUM);
                            sums[rank] = tensor.toFloats()[0];
                        }
                    }));
                }
                for (Thread thread : threads) {
                    thread.join();
                }
                assertThat(sums).containsExactly(3, 3);
            }
        }
    }

    @Test
    void portOfRankZeroInUseIsNamed() throws Exception {
        try (var socket = new ServerSocket(0)) {
            int port = socket.getLocalPort();
            assertThatThrownBy(() -> ProcessGroup.fromEnvironment(environment(0, 2, port, false, 0), LATER))
                    .isInstanceOf(StorageException.class)
                    .hasMessageContaining(String.valueOf(port));
        }
        assertThat(Torch.liveHandles(Torch.Kind.STORE)).isZero();
    }

    @Test
    void environmentOfThisProcessIsRead() {
        if (System.getenv("RANK") == null) {
            assertThat(RankEnvironment.isSet()).isFalse();
            assertThatThrownBy(ProcessGroup::fromEnvironment)
                    .isInstanceOf(NotFoundException.class)
                    .hasMessageContaining("WORLD_SIZE");
        }
    }

    // ---- ranks as processes ----

    /** A rank in a process of its own: all-reduces its rank, and the rank that is named dies without a word. */
    static final class Rank {
        private Rank() {}

        public static void main(String[] args) {
            int dying = Integer.parseInt(args[0]);
            try (var group = ProcessGroup.fromEnvironment();
                    Tensor tensor = Tensor.of(new float[] {group.rank() + 1})) {
                group.allReduce(tensor, ReduceOp.SUM);
                System.out.println("answer: sum " + tensor.item());
                if (group.rank() == dying) {
                    Runtime.getRuntime().halt(9);
                }
                try (Work work = group.barrierAsync(Duration.ofSeconds(10))) {
                    work.await();
                }
                System.out.println("answer: done");
            } catch (LanceTorchException e) {
                System.out.println("answer: " + e.getClass().getSimpleName());
            }
        }
    }

    private static List<List<String>> launch(int world, int dying) throws Exception {
        int port = Ranks.freePort();
        List<Process> processes = new ArrayList<>();
        for (int rank = 0; rank < world; rank++) {
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--enable-native-access=ALL-UNNAMED",
                    "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                    "-Dlancetorch.libtorch=" + System.getProperty("lancetorch.libtorch", ""),
                    "-cp",
                    System.getProperty("java.class.path"),
                    Rank.class.getName(),
                    String.valueOf(dying)));
            var builder = new ProcessBuilder(command).redirectErrorStream(true);
            builder.environment()
                    .putAll(Map.of(
                            "RANK", String.valueOf(rank),
                            "LOCAL_RANK", String.valueOf(rank),
                            "WORLD_SIZE", String.valueOf(world),
                            "MASTER_ADDR", "127.0.0.1",
                            "MASTER_PORT", String.valueOf(port),
                            "GLOO_SOCKET_HOST", "127.0.0.1"));
            processes.add(builder.start());
        }
        List<List<String>> answers = new ArrayList<>();
        for (Process process : processes) {
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
            answers.add(output.lines()
                    .filter(line -> line.startsWith("answer: "))
                    .map(line -> line.substring(8))
                    .toList());
        }
        return answers;
    }

    @Test
    void processesJoinByTheEnvironment() throws Exception {
        assertThat(launch(2, -1)).containsExactly(List.of("sum 3.0", "done"), List.of("sum 3.0", "done"));
    }

    @Test
    void processThatDiesIsAnErrorOfTheOthers() throws Exception {
        List<List<String>> answers = launch(3, 2);
        assertThat(answers.get(2)).containsExactly("sum 6.0");
        for (List<String> survivor : answers.subList(0, 2)) {
            assertThat(survivor).hasSize(2).startsWith("sum 6.0");
            assertThat(survivor.get(1)).isIn("PeerFailedException", "DeadlineException");
        }
        assertThat(answers.subList(0, 2))
                .anySatisfy(answer -> assertThat(answer).contains("PeerFailedException"));
    }
}
