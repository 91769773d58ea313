package io.lancetorch.safety;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.Ranks;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.distributed.Store;
import io.lancetorch.distributed.Work;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.lance.Blob;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.TestImages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Objects that one thread closes while others use them, and threads that are interrupted while they wait. */
@Timeout(120)
class ManyThreadsTest {
    private static final int ROUNDS = 20;
    private static final Duration LATER = Duration.ofSeconds(20);

    @TempDir
    private Path folder;

    /** Uses the object over and over on two threads, and closes it on a third at another moment of each round. */
    private static void closeWhileUsed(int round, AutoCloseable object, ThrowingCallable use) throws Exception {
        List<Thread> threads = new ArrayList<>();
        List<AtomicReference<Throwable>> thrown = new ArrayList<>();
        var started = new CountDownLatch(2);
        for (int i = 0; i < 2; i++) {
            var end = new AtomicReference<Throwable>();
            thrown.add(end);
            threads.add(Thread.ofPlatform().start(() -> {
                started.countDown();
                Throwable failure = null;
                while (failure == null) {
                    failure = catchThrowable(use);
                }
                end.set(failure);
            }));
        }
        started.await();
        Thread.sleep(round % 7);
        object.close();
        for (Thread thread : threads) {
            assertThat(thread.join(LATER)).as("the use of %s ends", object).isTrue();
        }
        for (AtomicReference<Throwable> end : thrown) {
            assertThat(end.get()).isInstanceOfAny(IllegalStateException.class, LanceTorchException.class);
        }
    }

    @Test
    void datasetsBlobsAndWritersAreClosedWhileTheyAreUsed() throws Exception {
        String uri = folder.resolve("blobs.lance").toString();
        Schema schema = Schema.of(Field.int64("id"), Field.blob("video"));
        try (var writer = LanceWriter.to(uri, schema).open()) {
            for (long i = 0; i < 100; i++) {
                writer.append(i, new byte[10_000]);
            }
            writer.finish();
        }
        for (int round = 0; round < ROUNDS; round++) {
            LanceDataset dataset = LanceDataset.open(uri);
            Blob blob = dataset.blobs("video", 7).getFirst();
            closeWhileUsed(round, blob, () -> {
                MemorySegment target = Arena.ofAuto().allocate(10_000);
                assertThat(blob.read(0, target)).isEqualTo(10_000);
            });
            closeWhileUsed(round, dataset, () -> {
                try (RecordBatch batch = dataset.take(new long[] {1, 50, 99}, "id")) {
                    assertThat(batch.column(0).integer(2)).isEqualTo(99);
                }
                assertThat(dataset.countRows("id < 10")).isEqualTo(10);
            });
            LanceWriter writer = LanceWriter.to(folder.resolve("w" + round).toString(), Schema.of(Field.int64("id")))
                    .open();
            closeWhileUsed(round, writer, () -> writer.append(1L));
        }
    }

    @Test
    void optimizerIsClosedWhileItSteps() throws Exception {
        Tensor weight = Tensor.of(new float[1000]).requiresGrad(true);
        try (var _ = new TensorScope()) {
            weight.grad(Tensor.of(new float[1000]));
        }
        for (int round = 0; round < ROUNDS; round++) {
            var optimizer = Optimizer.adamW(List.of(weight), 0.1, 0);
            closeWhileUsed(round, optimizer, () -> {
                optimizer.step();
                try (var _ = new TensorScope()) {
                    assertThat(optimizer.stateDict()).isNotEmpty();
                }
            });
        }
        weight.close();
    }

    @Test
    void storeIsClosedWhileItIsWaitedFor() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            try (Store server = Store.tcp("127.0.0.1", 0, true, 2, LATER)) {
                Store client = Store.tcp("127.0.0.1", server.port(), false, 2, LATER);
                long begin = System.nanoTime();
                closeWhileUsed(round, client, () -> {
                    client.add("counter", 1);
                    client.get("never", Duration.ofMinutes(10));
                });
                assertThat(Duration.ofNanos(System.nanoTime() - begin)).isLessThan(LATER);
            }
        }
    }

    @Test
    void groupIsClosedWhileItReduces() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            Store store = Store.tcp("127.0.0.1", 0, true, 1, LATER);
            var group = ProcessGroup.gloo(store, 0, 1, "127.0.0.1", LATER);
            closeWhileUsed(round, group, () -> {
                try (var tensor = Tensor.of(new float[100])) {
                    group.allReduce(tensor, ReduceOp.SUM);
                }
            });
            store.close();
        }
    }

    // ---- interrupts ----

    private record End(Throwable thrown, boolean interrupted) {}

    /** Interrupts a thread once it has waited for a while. */
    private static void interruptWhileItWaits(String wait, ThrowingCallable waiting) throws Exception {
        var end = new AtomicReference<End>();
        Thread thread = Thread.ofPlatform()
                .start(() -> end.set(
                        new End(catchThrowable(waiting), Thread.currentThread().isInterrupted())));
        Thread.sleep(200);
        assertThat(thread.isAlive()).as("%s waits", wait).isTrue();
        thread.interrupt();
        assertThat(thread.join(Duration.ofSeconds(5))).as("%s ends soon", wait).isTrue();
        assertThat(end.get().thrown)
                .as(wait)
                .isInstanceOf(CancelledException.class)
                .hasMessageContaining("interrupted");
        assertThat(end.get().interrupted).as("%s keeps the interrupt", wait).isTrue();
    }

    @Test
    void interruptEndsAWaitForAKey() throws Exception {
        try (Store store = Store.tcp("127.0.0.1", 0, true, 1, LATER)) {
            interruptWhileItWaits("a get", () -> store.get("never", Duration.ofMinutes(10)));
            store.set("now", new byte[] {1});
            assertThat(store.get("now", LATER)).as("the store goes on").containsExactly(1);
        }
    }

    @Test
    void interruptEndsAWaitForTheOtherRanks() throws Exception {
        try (Store store = Store.tcp("127.0.0.1", 0, true, 2, LATER)) {
            interruptWhileItWaits("rank 0", () -> ProcessGroup.gloo(store, 0, 2, "127.0.0.1", Duration.ofMinutes(10)));
            try (Store other = Store.tcp("127.0.0.1", store.port(), false, 2, LATER)) {
                assertThat(other.contains("lancetorch/health")).isTrue();
            }
        }
    }

    @Test
    void interruptEndsAWaitForACollective() throws Exception {
        var done = new CountDownLatch(1);
        List<Object> outcomes = Ranks.outcomes(2, LATER, group -> {
            if (group.rank() == 1) {
                done.await();
                return null;
            }
            try (var tensor = Tensor.of(new float[] {1})) {
                try (Work work = group.allReduceAsync(tensor, ReduceOp.SUM, Duration.ZERO)) {
                    interruptWhileItWaits("a work handle", work::await);
                    interruptWhileItWaits("a work handle with a limit", () -> work.await(Duration.ofMinutes(10)));
                    assertThat(work.isDone()).isFalse();
                }
                interruptWhileItWaits("an all-reduce", () -> group.allReduce(tensor, ReduceOp.SUM));
                long begin = System.nanoTime();
                group.close();
                assertThat(Duration.ofNanos(System.nanoTime() - begin)).isLessThan(Duration.ofSeconds(5));
            } finally {
                done.countDown();
            }
            return null;
        });
        assertThat(outcomes).containsExactly(null, null);
    }

    @Test
    void interruptBeforeAReadIsNoHarm() throws Exception {
        try (var dataset = TestImages.grays(folder.resolve("images.lance"), 20, 7, Set.of());
                Scan scan = dataset.scan().batchSize(3).open()) {
            Thread.currentThread().interrupt();
            try {
                long rows = 0;
                while (true) {
                    RecordBatch batch;
                    try {
                        batch = scan.next();
                    } catch (CancelledException e) {
                        continue;
                    }
                    if (batch == null) {
                        break;
                    }
                    rows += batch.rows();
                    batch.close();
                }
                assertThat(rows).isEqualTo(20);
                assertThat(Thread.currentThread().isInterrupted()).isTrue();
            } finally {
                Thread.interrupted();
            }
        }
    }

    @Test
    void interruptDoesNotStopATrainedGroupFromClosing() throws Exception {
        List<Object> outcomes = Ranks.outcomes(2, LATER, group -> {
            try (var tensor = Tensor.of(new float[] {1})) {
                group.allReduce(tensor, ReduceOp.SUM);
                Thread.currentThread().interrupt();
                long begin = System.nanoTime();
                group.close();
                Thread.interrupted();
                return Duration.ofNanos(System.nanoTime() - begin).toSeconds();
            }
        });
        assertThat(outcomes)
                .allSatisfy(seconds -> assertThat((long) (Long) seconds).isLessThan(10));
    }
}
