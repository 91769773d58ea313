package io.lancetorch.examples;

import io.lancetorch.data.BadRows;
import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.LoaderStats;
import io.lancetorch.data.Sampler;
import io.lancetorch.data.ShardedBatchSampler;
import io.lancetorch.data.Uneven;
import io.lancetorch.distributed.Agreement;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.lance.Scan;
import io.lancetorch.tensor.GradMode;
import io.lancetorch.tensor.GradScaler;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.StateDict;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.tracking.RunStatus;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.zip.CRC32;

/** One rank's training: a model, a loader of its share of the rows, an optimizer, and the group in which it averages. */
final class Trainer implements AutoCloseable {
    private final TrainCommand options;
    private final Deque<AutoCloseable> resources = new ArrayDeque<>();
    private final int rank;
    private final int worldSize;
    private final ProcessGroup group;
    private final ResNet model;
    private final DistributedDataParallel ddp;
    private final Optimizer optimizer;
    private final TrainingStep step;
    private final Deque<Path> traces = new ArrayDeque<>(); // what the first epoch's trace is written to
    private final DataLoader training;
    private final DataLoader validation;
    private final RunCheckpoints checkpoints;
    private final RunTracking tracking;
    private final List<String> classes;

    /** {@code environment}: null for a world of one without a process group. */
    Trainer(TrainCommand options, RankEnvironment environment) {
        this.options = options;
        rank = environment == null ? 0 : environment.rank();
        worldSize = environment == null ? 1 : environment.worldSize();
        limitThreads();
        try {
            group = environment == null
                    ? null
                    : own(ProcessGroup.fromEnvironment(environment, Duration.ofSeconds(options.timeout)));
            if (group != null && options.compute.onGpu()) {
                group.useNccl(options.compute.device());
            }
            agree(options());
            checkpoints = own(new RunCheckpoints(options, group));
            LanceDataset dataset = own(checkpoints.openDataset());
            var split = RowSplit.of(dataset, options.validationFraction);
            DataLoader.Builder builder = loader(dataset, trainingTransform(), options.dealing.sampler(), options.seed)
                    .rows(RowSelection.of(split.training()));
            training = own((options.logRows == null ? builder : builder.withRowId()).open());
            validation = validationLoader(dataset, split);
            classes = classes(dataset);
            agree(plan(dataset));
            Torch.manualSeed(options.seed);
            model = own(ResNet.of(options.model, classes.size(), options.compute.device(), options.compute.format()));
            if (options.weights != null) {
                List<String> leftOut = model.load(options.weights);
                if (rank == 0 && !leftOut.isEmpty()) {
                    System.out.println(
                            options.weights + " is for another number of classes: " + leftOut + " start anew");
                }
            }
            ddp = group == null ? null : own(new DistributedDataParallel(group, model.parameters(), model.buffers()));
            optimizer =
                    own(Optimizer.sgd(model.parameters(), options.learningRate, options.momentum, options.weightDecay));
            optimizer.fused(options.compute.isFused());
            GradScaler scaler = options.compute.scaler();
            if (scaler != null) {
                own(scaler);
            }
            RowLog log = options.logRows == null
                    ? null
                    : own(new RowLog(options.logRows, rank, worldSize, options.resumes()));
            tracking = own(openTracking());
            step = new TrainingStep(model, ddp, optimizer, countsValidRowsAlone(), log, options.compute, scaler);
            if (rank == 0 && options.compute.profile != null) {
                traces.add(options.compute.profile);
            }
            if (rank == 0) {
                System.out.printf(
                        Locale.ROOT,
                        "%s on %s: %,d images of %d classes, %d ranks, batches of %d x %d, %d steps an epoch%n",
                        options.model,
                        options.dataset,
                        split.trainingRows(),
                        classes.size(),
                        worldSize,
                        worldSize,
                        options.batchSize,
                        training.steps());
            }
        } catch (RuntimeException | Error e) {
            tell(e);
            close();
            throw e;
        }
    }

    private RunTracking openTracking() {
        if (rank == 0) {
            options.tracking.requireFresh(options.resumes());
        }
        return new RunTracking(
                options.tracking,
                options.tracking.open(rank, options.checkpoint, options.resumes(), RunTracking::say),
                rank,
                training);
    }

    private void agree(Map<String, String> values) {
        if (group != null) {
            Agreement.check(group, values);
        }
    }

    /** Those of which others would make other plans or other collectives. */
    private Map<String, String> options() {
        return Map.of(
                "lancetorch", Main.VERSION,
                "--seed", Long.toString(options.seed),
                "--batch-size", Integer.toString(options.batchSize),
                "--sampler", options.dealing.name.toString(),
                "--uneven", options.dealing.uneven.toString(),
                "--bad-rows", options.badRows.toString(),
                "--val-fraction", options.validationFraction.toString(),
                "--epochs", Integer.toString(options.epochs),
                "--resume", Boolean.toString(options.resumes()));
    }

    /** What makes the ranks' plans alike. */
    private Map<String, String> plan(LanceDataset dataset) {
        var fragments = new CRC32();
        fragments.update(dataset.fragments().toString().getBytes(StandardCharsets.UTF_8));
        return Map.of(
                "dataset version", Long.toString(dataset.version()),
                "fragments' checksum", Long.toHexString(fragments.getValue()),
                "steps of an epoch", Integer.toString(training.steps()));
    }

    /**
     * Ranks that train on other numbers of rows than their peers weigh by them; and an image that could not be decoded, in
     * whose place are zeros, teaches nothing.
     */
    private boolean countsValidRowsAlone() {
        return options.dealing.uneven == Uneven.JOIN || options.badRows == BadRows.SUBSTITUTE;
    }

    /** Tells the other ranks why this one fails. */
    private void tell(Throwable failure) {
        for (AutoCloseable resource : resources) {
            if (resource instanceof ProcessGroup joined) {
                joined.fail(failure);
            }
        }
    }

    private <T extends AutoCloseable> T own(T resource) {
        resources.push(resource);
        return resource;
    }

    /** Ranks on one machine share its cores: torchrun says one thread each, and so do we where nothing is said. */
    static void limitThreads() {
        int share = Math.max(1, Runtime.getRuntime().availableProcessors() / RankEnvironment.localWorldSize());
        if (System.getenv("OMP_NUM_THREADS") == null) {
            Torch.numThreads(share);
        }
        Lance.numThreads(share);
    }

    private ImageTransform trainingTransform() {
        int size = options.imageSize;
        return options.augment
                ? ImageTransform.randomResizedCrop(size, size).flip(0.5)
                : ImageTransform.resize(size, size);
    }

    private ImageTransform validationTransform() {
        int size = options.imageSize;
        // The margin that goes with 224 pixels in the usual recipe: 256.
        return options.augment
                ? ImageTransform.centerCrop(size * 8 / 7, size, size)
                : ImageTransform.resize(size, size);
    }

    private DataLoader.Builder loader(LanceDataset dataset, ImageTransform transform, Sampler sampler, long seed) {
        DataLoader.Builder builder = DataLoader.of(dataset)
                .columns(DatasetCreation.IMAGE, DatasetCreation.LABEL)
                .image(DatasetCreation.IMAGE, transform)
                .sampler(sampler)
                .badRows(options.badRows)
                .batchSize(options.batchSize)
                .device(options.compute.device())
                .rank(rank, worldSize)
                .seed(seed);
        if (options.decodeThreads != null) {
            builder.decodeThreads(options.decodeThreads);
        }
        return options.cache ? builder.cache() : builder;
    }

    private DataLoader validationLoader(LanceDataset dataset, RowSplit split) {
        Sampler dealt = new ShardedBatchSampler(false, Uneven.PAD);
        if (options.validation != null) {
            LanceDataset other = own(LanceDataset.open(options.validation, options.storage.options));
            return own(loader(other, validationTransform(), dealt, 0).open());
        }
        return split.validation().isEmpty()
                ? null
                : own(loader(dataset, validationTransform(), dealt, 0)
                        .rows(RowSelection.of(split.validation()))
                        .open());
    }

    /** Their names, or, where the dataset has none, their numbers. */
    private static List<String> classes(LanceDataset dataset) {
        Optional<List<String>> names = ClassNames.of(dataset);
        if (names.isPresent()) {
            return names.get();
        }
        long largest = -1;
        try (Scan scan = dataset.scan().columns(DatasetCreation.LABEL).open()) {
            while (true) {
                try (RecordBatch batch = scan.next()) {
                    if (batch == null) {
                        return LongStream.rangeClosed(0, largest)
                                .mapToObj(Long::toString)
                                .toList();
                    }
                    for (long row = 0; row < batch.rows(); row++) {
                        largest = Math.max(largest, batch.column(0).integer(row));
                    }
                }
            }
        }
    }

    void run() throws IOException {
        try {
            train();
        } catch (IOException | RuntimeException | Error e) {
            tell(e);
            throw e;
        }
    }

    private void train() throws IOException {
        int first = checkpoints.begin(model, optimizer, training, tracking);
        tracking.start(checkpoints.step(), options.parameters(worldSize));
        for (int epoch = first; epoch < options.epochs; epoch++) {
            EpochMetrics metrics = epoch(epoch);
            if (rank == 0) {
                System.out.println(metrics.line(options.epochs));
            }
            tracking.afterEpoch(metrics);
            checkpoints.afterEpoch();
        }
        if (options.save != null && rank == 0) {
            StateDict.save(options.save, model.stateDict());
            System.out.println("saved " + options.save);
            tracking.saved("model", options.save);
        }
        if (group != null) {
            group.barrier();
        }
        tracking.end(RunStatus.FINISHED);
    }

    private EpochMetrics epoch(int epoch) {
        training.setEpoch(epoch);
        int steps = training.steps();
        LoaderStats before = training.stats();
        long start = System.nanoTime();
        long seen = 0;
        int done = 0;
        tracking.beginEpoch();
        Path traced = traces.poll();
        try (var progress = new Progress("epoch " + (epoch + 1), " steps", steps, rank == 0);
                var trace = new StepTrace(traced, steps)) {
            for (Batch batch : training) {
                trace.next(done);
                if (group != null) {
                    group.step(checkpoints.step());
                }
                double loss = step.train(batch, epoch, checkpoints.step());
                int valid = batch.validRows();
                seen += valid;
                progress.stepTo(++done);
                progress.message(String.format(
                        Locale.ROOT,
                        "loss %.4f  %.1f images/s",
                        loss,
                        worldSize * (double) seen / ((System.nanoTime() - start) / 1e9)));
                checkpoints.afterStep();
                tracking.afterStep(checkpoints.step(), loss, valid, optimizer.learningRate());
            }
        }
        tracking.endSteps(optimizer.learningRate());
        if (training.stats().badRows() > before.badRows()) {
            System.err.printf(
                    Locale.ROOT,
                    "rank %d: %d images of epoch %d could not be decoded (--bad-rows %s), such as %s%n",
                    rank,
                    training.stats().badRows() - before.badRows(),
                    epoch + 1,
                    options.badRows,
                    training.badRows().getLast());
        }
        double lossSum = step.takeLossSum();
        double seconds = (System.nanoTime() - start) / 1e9;
        double waited = (training.stats().waitNanos() - before.waitNanos()) / 1e9;
        double[] sums = sumOverRanks(lossSum, seen, seconds, waited);
        double[] evaluated = validation == null ? new double[2] : evaluate(epoch);
        return new EpochMetrics(
                epoch,
                sums[0] / Math.max(1, sums[1]),
                sums[2] / worldSize,
                sums[1] / (sums[2] / worldSize),
                sums[3] / sums[2],
                evaluated[1] == 0 ? null : evaluated[0] / evaluated[1],
                (long) evaluated[1],
                worldSize,
                (long) sums[1],
                steps,
                eachRank(seen / seconds, waited / seconds));
    }

    private List<EpochMetrics.Rank> eachRank(double imagesPerSecond, double dataWaitFraction) {
        double[] all = new double[2 * worldSize];
        all[2 * rank] = imagesPerSecond;
        all[2 * rank + 1] = dataWaitFraction;
        double[] gathered = sumOverRanks(all);
        return IntStream.range(0, worldSize)
                .mapToObj(other -> new EpochMetrics.Rank(gathered[2 * other], gathered[2 * other + 1]))
                .toList();
    }

    /** The right answers and all answers on the held-out rows, of which every rank looks at its share. */
    private double[] evaluate(int epoch) {
        if (ddp != null) {
            ddp.broadcastBuffers();
        }
        long right = 0;
        long all = 0;
        boolean sampled = rank != 0 || options.tracking.folder == null || epoch < options.epochs - 1;
        try (var _ = GradMode.noGrad()) {
            for (Batch batch : validation) {
                try (var _ = new TensorScope();
                        var _ = options.compute.autocast()) {
                    Tensor images = batch.get(DatasetCreation.IMAGE).to(options.compute.format());
                    Tensor logits = model.forward(images, false);
                    Tensor hits =
                            Ops.mul(Ops.eq(Ops.argmax(logits, 1), batch.get(DatasetCreation.LABEL)), batch.mask());
                    right += Ops.sum(hits).itemLong();
                    all += batch.validRows();
                    if (!sampled) {
                        SampleImages.write(options.tracking.folder, batch, logits, classes, tracking);
                        sampled = true;
                    }
                }
            }
        }
        return sumOverRanks(right, all);
    }

    private double[] sumOverRanks(double... values) {
        if (group == null) {
            return values;
        }
        try (var _ = new TensorScope()) {
            Tensor tensor = Tensor.of(values);
            group.allReduce(tensor, ReduceOp.SUM);
            return tensor.toDoubles();
        }
    }

    /** In the opposite order of making. */
    @Override
    public void close() {
        while (!resources.isEmpty()) {
            try {
                resources.pop().close();
            } catch (Exception e) {
                System.err.println("lancetorch: while ending: " + e);
            }
        }
    }
}
