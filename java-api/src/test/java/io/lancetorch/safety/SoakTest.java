package io.lancetorch.safety;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.checkpoint.Checkpoint;
import io.lancetorch.checkpoint.CheckpointDirectory;
import io.lancetorch.data.BadRows;
import io.lancetorch.data.Batch;
import io.lancetorch.data.BatchSampler;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.DistributedSampler;
import io.lancetorch.data.FullScanSampler;
import io.lancetorch.data.LoaderState;
import io.lancetorch.data.RandomSampler;
import io.lancetorch.data.Sampler;
import io.lancetorch.data.SequentialSampler;
import io.lancetorch.data.ShardedBatchSampler;
import io.lancetorch.data.ShardedFragmentSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.Ranks;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.LiveHandles;
import io.lancetorch.testing.TestImages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code ./lancetorch test --soak}: all that a training run does, and what goes wrong in it, over and over for
 * {@code -Dlancetorch.soak} seconds. After every round nothing native is alive, and no thread of ours; at the end the resident
 * memory, the threads and the open files are what they were after the warm-up.
 */
class SoakTest {
    private static final long SECONDS = Long.getLong("lancetorch.soak", 0);

    /** The first part of the time, in which caches fill and code is compiled. */
    private static final double WARM_UP = 0.3;

    /** What the resident memory may have grown by, from its median over the first rounds after the warm-up to that over the last. */
    private static final long GROWTH = 16 << 20;

    private static final int ROWS = 97;
    private static final Set<Integer> BAD = Set.of(3, 50, 96);

    @TempDir
    private Path folder;

    private record Sample(long resident, int threads, int files) {
        static Sample take() throws IOException {
            long resident = 0;
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmRSS:")) {
                    resident = Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
            return new Sample(resident, count("/proc/self/task"), count("/proc/self/fd"));
        }

        private static int count(String directory) throws IOException {
            try (var entries = Files.list(Path.of(directory))) {
                return (int) entries.count();
            }
        }
    }

    private static List<String> ourThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name -> name.startsWith("lancetorch-"))
                .toList();
    }

    private static long median(List<Sample> samples) {
        long[] values = samples.stream().mapToLong(Sample::resident).sorted().toArray();
        return values[values.length / 2];
    }

    @Test
    void nothingGrowsHoweverLongItRuns() throws Exception {
        assumeTrue(SECONDS > 0, "skipped: ./lancetorch test --soak[=SECONDS] runs it");
        assumeTrue(Files.isDirectory(Path.of("/proc/self/task")), "skipped: no /proc");
        List<Sample> samples = new ArrayList<>();
        long begin = System.nanoTime();
        long told = begin;
        try (var dataset = TestImages.grays(folder.resolve("images.lance"), ROWS, 31, BAD)) {
            Map<String, Long> before = LiveHandles.alive();
            long warm = 0;
            for (long round = 0; seconds(begin) < SECONDS; round++) {
                round(dataset, round);
                // What was left in the middle ends when the garbage collector finds it.
                awaitEnd(before, round);
                if (seconds(begin) >= WARM_UP * SECONDS) {
                    samples.add(Sample.take());
                } else {
                    warm++;
                }
                if (seconds(told) >= Math.max(10, SECONDS / 20.0)) {
                    told = System.nanoTime();
                    Sample now = Sample.take();
                    System.out.printf(
                            "soak: %,.0f s, %,d rounds, RSS %.1f MB, %d threads, %d files%n",
                            seconds(begin), round + 1, now.resident / 1e6, now.threads, now.files);
                }
            }
            System.out.printf("soak: %,d rounds to warm up, %,d measured%n", warm, samples.size());
        }
        assertThat(samples).as("rounds after the warm-up").hasSizeGreaterThanOrEqualTo(10);
        int part = Math.max(3, samples.size() / 5);
        List<Sample> first = samples.subList(0, part);
        List<Sample> last = samples.subList(samples.size() - part, samples.size());
        long grown = median(last) - median(first);
        System.out.printf(
                "soak: RSS %.1f MB after the warm-up, %.1f MB at the end (%+.2f MB, %+.2f %%); threads %d and %d, files %d and %d%n",
                median(first) / 1e6,
                median(last) / 1e6,
                grown / 1e6,
                100.0 * grown / median(first),
                most(first, Sample::threads),
                most(last, Sample::threads),
                most(first, Sample::files),
                most(last, Sample::files));
        assertThat(grown).as("growth of the resident memory").isLessThan(GROWTH);
        assertThat(most(last, Sample::threads)).isLessThanOrEqualTo(most(first, Sample::threads) + 2);
        assertThat(most(last, Sample::files)).isLessThanOrEqualTo(most(first, Sample::files) + 2);
    }

    private static double seconds(long since) {
        return (System.nanoTime() - since) / 1e9;
    }

    private static int most(List<Sample> samples, java.util.function.ToIntFunction<Sample> value) {
        return samples.stream().mapToInt(value).max().orElseThrow();
    }

    private static void awaitEnd(Map<String, Long> before, long round) throws InterruptedException {
        long begin = System.nanoTime();
        while (!LiveHandles.alive().equals(before) || !ourThreads().isEmpty()) {
            System.gc();
            Thread.sleep(5);
            assertThat(seconds(begin))
                    .as("round %s: alive are %s and threads %s", round, LiveHandles.alive(), ourThreads())
                    .isLessThan(20);
        }
    }

    private void round(LanceDataset dataset, long round) throws Exception {
        epochs(dataset, round);
        leftInTheMiddle(dataset, round);
        train(dataset, round);
        failures(dataset, round);
    }

    private static List<Sampler> samplers() {
        return List.of(
                new FullScanSampler(true),
                new ShardedFragmentSampler(true, Uneven.PAD),
                new ShardedBatchSampler(true, Uneven.DROP),
                new DistributedSampler(),
                new BatchSampler(new RandomSampler(), Uneven.PAD),
                new SequentialSampler());
    }

    private static void epochs(LanceDataset dataset, long round) {
        List<UnaryOperator<DataLoader.Builder>> styles =
                List.of(UnaryOperator.identity(), DataLoader.Builder::mapStyle, DataLoader.Builder::iterableStyle);
        BadRows policy = round % 2 == 0 ? BadRows.SKIP : BadRows.SUBSTITUTE;
        for (Sampler sampler : samplers()) {
            for (UnaryOperator<DataLoader.Builder> style : styles) {
                long rows = 0;
                try (var loader = style.apply(DataLoader.of(dataset))
                        .image("image", ImageTransform.randomResizedCrop(24, 24).flip(0.5))
                        .sampler(sampler)
                        .badRows(policy)
                        .seed(round)
                        .batchSize(8)
                        .decodeThreads(2)
                        .open()) {
                    loader.setEpoch(round);
                    for (Batch batch : loader) {
                        rows += batch.validRows();
                    }
                    assertThat(loader.stats().badRows()).isPositive();
                }
                assertThat(rows).isBetween((long) ROWS - 8 - BAD.size(), (long) ROWS);
                try (var loader = style.apply(DataLoader.of(dataset))
                        .columns("id")
                        .sampler(sampler)
                        .filter("id % 2 = 0")
                        .batchSize(8)
                        .open()) {
                    loader.forEach(batch -> assertThat(batch.get("id").count()).isPositive());
                }
            }
        }
    }

    private static void leftInTheMiddle(LanceDataset dataset, long round) {
        try (var loader = images(dataset).open()) {
            for (int i = 0; i < 3; i++) {
                Iterator<Batch> left = loader.iterator();
                left.next();
                left.next();
            }
            Batch kept = loader.iterator().next().detach();
            kept.close();
        }
        try (var scan = dataset.scan().batchSize(5).open()) {
            scan.next().close();
        }
        // This one is closed while it is iterated, by another thread.
        var loader = images(dataset).open();
        Thread closer = Thread.ofPlatform().start(() -> {
            try {
                Thread.sleep(round % 5);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            loader.close();
        });
        try {
            for (Batch batch : loader) {
                assertThat(batch.rows()).isPositive();
            }
        } catch (LanceTorchException | IllegalStateException e) {
            assertThat(e.getMessage()).contains("closed");
        }
        try {
            closer.join();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static DataLoader.Builder images(LanceDataset dataset) {
        return DataLoader.of(dataset)
                .image("image", ImageTransform.resize(24, 24))
                .badRows(BadRows.SKIP)
                .batchSize(4)
                .decodeThreads(2);
    }

    /** Two ranks train for some steps from where the last round stopped, and write a checkpoint. */
    private void train(LanceDataset dataset, long round) throws Exception {
        Path checkpoints = folder.resolve("checkpoints");
        var lastLoss = new AtomicLong();
        Ranks.run(2, Object.class, group -> {
            Tensor weight = Ops.zeros(DType.FLOAT32, 2, 3 * 24 * 24).requiresGrad(true);
            Map<String, Tensor> model = Map.of("weight", weight);
            var directory = CheckpointDirectory.of(checkpoints, 2, group);
            try (var optimizer = Optimizer.adamW(List.of(weight), 1e-3, 0.01);
                    var latest = directory.latest();
                    var ddp = new DistributedDataParallel(group, List.of(weight), List.of());
                    var loader = images(dataset)
                            .sampler(new DistributedSampler())
                            .group(group)
                            .open()) {
                long step = 0;
                if (latest.isPresent()) {
                    Checkpoint checkpoint = latest.checkpoint();
                    checkpoint.restoreModel(model);
                    checkpoint.restoreOptimizer(optimizer);
                    step = checkpoint.step();
                    loader.resume(LoaderState.fromMap(checkpoint.loader()));
                }
                int steps = 0;
                for (Batch batch : loader) {
                    try (var _ = new TensorScope()) {
                        group.step(step++);
                        optimizer.zeroGrad();
                        Tensor pixels = Ops.reshape(Ops.contiguous(batch.get("image")), batch.rows(), 3 * 24 * 24);
                        Tensor labels = Tensor.of(new long[batch.rows()]);
                        Tensor loss = Ops.crossEntropy(ddp.forward(() -> Ops.linear(pixels, weight, null)), labels);
                        ddp.backward(loss);
                        optimizer.step();
                        lastLoss.set((long) (loss.item() * 1e6));
                    }
                    if (++steps == 5) {
                        break;
                    }
                }
                LoaderState state = loader.state();
                if (steps < 5) {
                    loader.setEpoch(state.epoch() + 1);
                    state = loader.state();
                }
                try (var checkpoint = Checkpoint.after(step)
                        .model(model)
                        .optimizer(optimizer)
                        .randomState()
                        .loader(state.toMap())
                        .build()) {
                    directory.save(checkpoint);
                }
                group.barrier();
            }
            return this;
        });
        assertThat(lastLoss.get()).isNotNegative();
        try (var files = Files.list(checkpoints)) {
            assertThat(files.count()).isLessThanOrEqualTo(2);
        }
    }

    /** What goes wrong in a run: each is said, and leaves nothing behind. */
    private void failures(LanceDataset dataset, long round) throws Exception {
        try (var loader = DataLoader.of(dataset)
                .image("image", ImageTransform.resize(8, 8))
                .open()) {
            assertThatThrownBy(() -> loader.forEach(batch -> {})).isInstanceOf(CorruptDataException.class);
        }
        assertThatThrownBy(() -> LanceDataset.open(folder.resolve("none.lance").toString()))
                .isInstanceOf(LanceTorchException.class);
        assertThatThrownBy(() -> dataset.scan().filter("no such = 1").open())
                .isInstanceOf(InvalidArgumentException.class);
        try (var _ = new TensorScope()) {
            assertThatThrownBy(() -> Ops.matmul(Ops.zeros(DType.FLOAT32, 2, 3), Ops.zeros(DType.FLOAT32, 2, 3)))
                    .isInstanceOf(InvalidArgumentException.class);
        }
        Path damaged = folder.resolve("damaged.pt");
        Files.write(damaged, new byte[(int) (round % 100)]);
        assertThatThrownBy(() -> io.lancetorch.tensor.TorchFile.load(damaged)).isInstanceOf(CorruptDataException.class);
        if (round % 5 == 0) {
            List<Object> ends = Ranks.outcomes(2, Duration.ofSeconds(30), SoakTest::leaveOrWait);
            assertThat(ends.get(0)).isInstanceOf(PeerFailedException.class);
        }
    }

    private static Object leaveOrWait(ProcessGroup group) {
        if (group.rank() == 1) {
            throw new IllegalStateException("this rank leaves");
        }
        try (var tensor = Tensor.of(new float[] {1})) {
            group.allReduce(tensor, ReduceOp.SUM);
        }
        return Arrays.asList(group.rank());
    }
}
