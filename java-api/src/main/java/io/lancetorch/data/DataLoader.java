package io.lancetorch.data;

import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Reads a rank's share of a dataset, step by step, as batches of tensors. Columns of numbers alias Lance's memory, without a
 * copy; images are decoded by threads of the loader's own, straight into the batch. Some batches are made ahead, and they
 * come in the plan's order whatever the number of threads.
 *
 * <pre>{@code
 * try (DataLoader loader = DataLoader.of(dataset)
 *         .image("image", ImageTransform.resize(224, 224))
 *         .sampler(new ShardedBatchSampler())
 *         .batchSize(64)
 *         .rank(group.rank(), group.worldSize())
 *         .open()) {
 *     for (int epoch = 0; epoch < 10; epoch++) {
 *         loader.setEpoch(epoch);
 *         for (Batch batch : loader) {
 *             Tensor images = batch.get("image");
 *             ...
 *         }
 *     }
 * }
 * }</pre>
 *
 * Each iteration has threads and a scan of its own, until its end or the loader's. One thread iterates; an error comes at the
 * step that caused it, and ends the iteration. An interrupt of the thread that waits for a batch is a
 * {@link CancelledException}. The dataset stays the caller's, and open for longer than the loader.
 */
public final class DataLoader implements Iterable<Batch>, AutoCloseable {
    private final LanceDataset dataset;
    private final Map<String, ColumnFunction> functions;
    private final Map<String, ImageTransform> images;
    private final List<String> columns;
    private final Sampler sampler;
    private final int batchSize;
    private final int rank;
    private final int worldSize;
    private final long seed;
    private final boolean dropLast;
    private final boolean withRowId;
    private final int decodeThreads;
    private final int prefetch;
    private final Set<BatchIterator> open = ConcurrentHashMap.newKeySet();
    private final AtomicLong batches = new AtomicLong();
    private final AtomicLong rows = new AtomicLong();
    private final AtomicLong waitNanos = new AtomicLong();
    private final AtomicLong decodeNanos = new AtomicLong();
    private volatile long epoch;
    private volatile EpochPlan planned;
    private volatile boolean closed;

    private DataLoader(Builder builder) {
        dataset = builder.dataset;
        functions = Map.copyOf(builder.functions);
        images = Map.copyOf(builder.images);
        columns = List.copyOf(builder.columns);
        sampler = builder.sampler;
        batchSize = builder.batchSize;
        rank = builder.rank;
        worldSize = builder.worldSize;
        seed = builder.seed;
        dropLast = builder.dropLast;
        withRowId = builder.withRowId;
        decodeThreads = builder.decodeThreads;
        prefetch = builder.prefetch;
    }

    /** How to load; unset, the whole dataset for a world of one, in batches of 32, all columns. */
    public static final class Builder {
        private final LanceDataset dataset;
        private final Map<String, ColumnFunction> functions = new LinkedHashMap<>();
        private final Map<String, ImageTransform> images = new LinkedHashMap<>();
        private Set<String> columns = new LinkedHashSet<>();
        private Sampler sampler = new ShardedBatchSampler(false, Uneven.PAD);
        private int batchSize = 32;
        private int rank;
        private int worldSize = 1;
        private long seed;
        private boolean dropLast;
        private boolean withRowId;
        private int decodeThreads =
                Math.max(1, Runtime.getRuntime().availableProcessors() / RankEnvironment.localWorldSize());
        private int prefetch = 2;

        private Builder(LanceDataset dataset) {
            this.dataset = dataset;
        }

        /** Only these columns, in this order; none: all of them. */
        public Builder columns(String... names) {
            columns = new LinkedHashSet<>(List.of(names));
            return this;
        }

        /** Decodes a binary column of JPEGs and PNGs. */
        public Builder image(String column, ImageTransform transform) {
            images.put(column, transform);
            return this;
        }

        /** Makes a column's tensor by a function of the user's. */
        public Builder column(String column, ColumnFunction function) {
            functions.put(column, function);
            return this;
        }

        /** {@link ShardedBatchSampler} in order, padded, unless said. */
        public Builder sampler(Sampler sampler) {
            this.sampler = sampler;
            return this;
        }

        /** Rows of a step on this rank. */
        public Builder batchSize(int rows) {
            batchSize = rows;
            return this;
        }

        /** Which share is this rank's. */
        public Builder rank(int rank, int worldSize) {
            this.rank = rank;
            this.worldSize = worldSize;
            return this;
        }

        /** Of the order of rows; the same on all ranks. */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /** Leaves out a last step of fewer rows. */
        public Builder dropLast() {
            dropLast = true;
            return this;
        }

        /** Adds a tensor {@code _rowid}, int64. */
        public Builder withRowId() {
            withRowId = true;
            return this;
        }

        /**
         * Threads that decode, beside the one that reads; the machine's cores, shared among its ranks (LOCAL_WORLD_SIZE),
         * unless said.
         */
        public Builder decodeThreads(int threads) {
            decodeThreads = threads;
            return this;
        }

        /** Batches to have ready ahead of the one in use, 2 unless said. */
        public Builder prefetch(int batches) {
            prefetch = batches;
            return this;
        }

        /**
         * Makes the loader; nothing is read before it is iterated.
         *
         * @throws NotFoundException for a column that is not there
         * @throws UnsupportedException for a column that has no tensor form and no function
         * @throws InvalidArgumentException for sizes or a rank that cannot be, and where the sampler refuses
         */
        public DataLoader open() {
            if (decodeThreads < 1 || prefetch < 1) {
                throw new InvalidArgumentException(
                        decodeThreads + " decoding threads and a prefetch of " + prefetch + ": both are 1 or more");
            }
            if (columns.isEmpty()) {
                columns.addAll(dataset.schema().names());
            }
            for (String column : columns) {
                requireTensorForm(dataset.schema().field(column));
            }
            for (String column : images.keySet()) {
                requireColumn(column, "image");
            }
            for (String column : functions.keySet()) {
                requireColumn(column, "column");
            }
            var loader = new DataLoader(this);
            loader.plan();
            return loader;
        }

        private void requireColumn(String column, String method) {
            if (!columns.contains(column)) {
                throw new NotFoundException(method + "(\"" + column + "\", ...) is for a column that is not read; "
                        + columns + " are, of " + dataset.schema().names());
            }
        }

        private void requireTensorForm(Field field) {
            if (images.containsKey(field.name())) {
                if (!Set.of("z", "Z", "u", "U").contains(field.format())) {
                    throw new UnsupportedException(
                            "column " + field.name() + " is " + field.typeName() + "; images are decoded from binary");
                }
            } else if (!functions.containsKey(field.name())) {
                ColumnTensors.requireTensorForm(field);
            }
        }
    }

    /** Sets up a loader. */
    public static Builder of(LanceDataset dataset) {
        return new Builder(dataset);
    }

    /** Another order of rows from the next iteration on; the same on all ranks. */
    public void setEpoch(long epoch) {
        this.epoch = epoch;
    }

    private record EpochPlan(long epoch, Plan plan) {}

    /** What this rank reads in the epoch that is set. */
    public Plan plan() {
        long wanted = epoch;
        EpochPlan known = planned;
        if (known == null || known.epoch != wanted) {
            var request = new PlanRequest(dataset.fragments(), worldSize, rank, seed, wanted, batchSize, dropLast);
            known = new EpochPlan(wanted, sampler.plan(request));
            planned = known;
        }
        return known.plan;
    }

    /** The number of steps of the epoch that is set. */
    public int steps() {
        return plan().steps();
    }

    /** What has been done so far, over all iterations. Any thread. */
    public LoaderStats stats() {
        return new LoaderStats(batches.get(), rows.get(), waitNanos.get(), decodeNanos.get());
    }

    /** Starts to read the epoch that is set. */
    @Override
    public Iterator<Batch> iterator() {
        if (closed) {
            throw new IllegalStateException("this DataLoader is closed");
        }
        Plan plan = plan();
        var scan = dataset.scan().columns(columns).batches(plan.allRanges()).readAhead(Math.max(2, prefetch));
        if (withRowId) {
            scan.withRowId();
        }
        var iterator = new BatchIterator(new BatchPipeline(
                plan, scan.open(), new BatchAssembler(images, functions, plan, decodeNanos), decodeThreads, prefetch));
        open.add(iterator);
        if (closed) {
            iterator.end();
            throw new IllegalStateException("this DataLoader is closed");
        }
        return iterator;
    }

    private final class BatchIterator implements Iterator<Batch> {
        private final BatchPipeline pipeline;
        private volatile Thread consumer;
        private Batch current;
        private boolean ended;

        BatchIterator(BatchPipeline pipeline) {
            this.pipeline = pipeline;
        }

        @Override
        public boolean hasNext() {
            letGo();
            if (closed) {
                throw new IllegalStateException("this DataLoader is closed");
            }
            if (!ended && pipeline.hasNext()) {
                return true;
            }
            end();
            return false;
        }

        @Override
        public Batch next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            consumer = Thread.currentThread();
            long start = System.nanoTime();
            try {
                current = pipeline.next();
            } catch (RuntimeException | Error e) {
                ended = true;
                end();
                throw e;
            }
            waitNanos.addAndGet(System.nanoTime() - start);
            batches.incrementAndGet();
            rows.addAndGet(current.rows());
            return current;
        }

        private void letGo() {
            if (current != null && !current.isDetached()) {
                current.close();
            }
            current = null;
        }

        void end() {
            open.remove(this);
            pipeline.close();
        }

        /** Frees the batch in use, unless another thread may be reading it now: that one does so when it goes on. */
        void letGoUnlessInUse() {
            Thread thread = consumer;
            if (thread == null || thread == Thread.currentThread() || !thread.isAlive()) {
                letGo();
            }
        }
    }

    /**
     * Ends all iterations and their threads; batches that were detached live on. Any thread: the one that iterates gets a
     * {@link CancelledException} where it waits, and its batch in use is freed when it asks for the next one. A second close
     * does nothing.
     */
    @Override
    public void close() {
        closed = true;
        for (BatchIterator iterator : open) {
            iterator.end();
            iterator.letGoUnlessInUse();
        }
    }
}
