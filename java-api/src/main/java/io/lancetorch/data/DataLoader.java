package io.lancetorch.data;

import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.RankEnvironment;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Access;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.lance.Scan;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Tensor;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.ArrayList;
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
 * come in the plan's order whatever the number of threads. The memory of images is used again for later batches, once nobody
 * uses a batch, or a tensor that shares its memory, any more.
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
 * Each iteration has threads and a scan of its own, until its end or the loader's; one that is left by break, until the garbage
 * collector finds it. One thread iterates; an error comes at the
 * step that caused it, and ends the iteration. An interrupt of the thread that waits for a batch is a
 * {@link CancelledException}. The dataset stays the caller's, and open for longer than the loader.
 */
public final class DataLoader implements Iterable<Batch>, AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();

    private final LanceDataset dataset;
    private final List<StepAssembler.Source> sources;
    private final List<String> columns;
    private final Sampler sampler;
    private final int batchSize;
    private final int rank;
    private final int replication;
    private final int worldSize;
    private final long seed;
    private final boolean dropLast;
    private final boolean withRowId;
    private final Access access;
    private final int decodeThreads;
    private final int prefetch;
    private final BadRows badRows;
    private final Collate collate;
    private final Device device;
    private final DecodeCache cache;
    private final SequencePacker packer;
    private final BufferPool buffers;
    private final TensorPool pool;
    private final BadRowLog badRowLog = new BadRowLog();
    private final Set<BatchIterator> open = ConcurrentHashMap.newKeySet();
    private final AtomicLong batches = new AtomicLong();
    private final AtomicLong rows = new AtomicLong();
    private final AtomicLong bytes = new AtomicLong();
    private final AtomicLong waitNanos = new AtomicLong();
    private final AtomicLong decodeNanos = new AtomicLong();
    private volatile long firstRequest;
    private volatile long lastBatch;
    private volatile long epoch;
    private volatile EpochPlan whole;
    // Where the next iteration begins, if not with the epoch.
    private volatile EpochPlan resumed;
    private volatile Position position;
    private volatile boolean closed;

    private DataLoader(Builder builder, Sampler sampler, DecodeCache cache) {
        dataset = builder.dataset;
        columns = List.copyOf(builder.columns);
        this.sampler = sampler;
        batchSize = builder.batchSize;
        rank = builder.rank;
        worldSize = builder.worldSize;
        replication = builder.replication;
        seed = builder.seed;
        dropLast = builder.dropLast;
        withRowId = builder.withRowId;
        access = builder.access;
        decodeThreads = builder.decodeThreads;
        prefetch = builder.prefetch;
        badRows = builder.badRows;
        collate = builder.collate;
        device = builder.device;
        this.cache = cache;
        boolean pinned = builder.pinMemory || device.type() != Device.Type.CPU;
        pool = new TensorPool(pinned, 3 * (prefetch + 2) * Math.max(1, builder.tokens.size()));
        List<StepAssembler.Source> all = new ArrayList<>();
        for (String column : columns) {
            PaddedTokens padded = builder.padded(column, pool);
            ImageTransform transform = builder.images.get(column);
            boolean converted = transform != null
                    && builder.convertsOnDevice()
                    && transform.pixel() == ImageTransform.Pixel.FLOAT32;
            all.add(new StepAssembler.Source(
                    column,
                    column,
                    converted ? transform.uint8() : transform,
                    converted ? transform : null,
                    padded == null ? builder.functions.get(column) : padded));
            if (padded != null) {
                String name = PaddedTokens.lengthsName(column);
                all.add(new StepAssembler.Source(name, column, null, null, padded::lengths));
            }
        }
        if (withRowId) {
            all.add(new StepAssembler.Source("_rowid", "_rowid", null, null, null));
        }
        sources = List.copyOf(all);
        packer = builder.packing == null ? null : new SequencePacker(builder.packed, builder.packing, pool);
        buffers = new BufferPool(batchSize, pinned, (prefetch + 1) * builder.images.size());
    }

    /** How to load; unset, the whole dataset for a world of one, in batches of 32, all columns. */
    public static final class Builder {
        /** Far beyond what helps, and what a process can have. */
        private static final int MOST = 1024;

        private final LanceDataset dataset;
        private final Map<String, ColumnFunction> functions = new LinkedHashMap<>();
        private final Map<String, ImageTransform> images = new LinkedHashMap<>();
        private final Map<String, Tokens> tokens = new LinkedHashMap<>();
        private Set<String> columns = new LinkedHashSet<>();
        private String packed;
        private Packing packing;
        private Sampler sampler;
        private String filter;
        private RowSelection selection;
        private long samples = -1;
        private int batchSize = 32;
        private int rank;
        private int worldSize;
        private boolean rankSaid;
        private int replication = 1;
        private ProcessGroup group;
        private long seed;
        private boolean dropLast;
        private LoaderState resumeFrom;
        private boolean withRowId;
        private Access access = Access.AUTO;
        private int decodeThreads =
                Math.max(1, Runtime.getRuntime().availableProcessors() / RankEnvironment.localWorldSize());
        private int prefetch = 2;
        private BadRows badRows = BadRows.FAIL;
        private Collate collate;
        private Device device = Device.CPU;
        private boolean pinMemory;
        private Boolean convertOnDevice;
        private String cache;
        private Map<String, String> cacheOptions = Map.of();

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

        private record Tokens(int length, long padValue) {}

        /** Null for a column that is not one of {@link #tokens}. */
        private PaddedTokens padded(String column, TensorPool pool) {
            Tokens of = tokens.get(column);
            return of == null ? null : new PaddedTokens(of.length, of.padValue, pool);
        }

        /**
         * Makes of a column of lists of integers, such as token ids of a text beside an image, a tensor int64 [rows, length]:
         * the first {@code length} of each row, or all of them and {@code padValue} behind. A further tensor {@code
         * column_length}, int64 [rows], tells how many of each row are not padding.
         */
        public Builder tokens(String column, int length, long padValue) {
            if (length < 1) {
                throw new InvalidArgumentException(length + " tokens of column " + column);
            }
            tokens.put(column, new Tokens(length, padValue));
            return this;
        }

        /**
         * Packs a column of lists of integers, the token ids of a document in each row, into sequences of one length. The rows
         * of the batches, and what {@link #batchSize}, {@link Batch#rows}, {@link Batch#validRows} and {@link LoaderState} count,
         * are sequences then; other columns do not go along. The sequences of an epoch, over all ranks, depend on the documents'
         * order alone, that of a {@link RowSampler} or of a {@link BatchSampler} over one (in order, padded, unless said), and are
         * dealt to the ranks as a {@link BatchSampler} deals rows: so all ranks have the same steps, and a run is resumed at the
         * very next sequence, also in another world. {@link #filter}, {@link #rows} and {@link #samples} select documents.
         *
         * <p>How long the documents are must be known first: {@link #open} reads that, with {@link #group} a share on each rank,
         * from the column itself or from {@link Packing#lengthColumn}, and keeps 4 bytes of heap for each document.
         *
         * <p>The tensors are {@code column}, int64 [rows, length]; {@code column_position}, int64 [rows, length], each token's
         * place in its piece of a document, 0 for padding; {@code column_segment}, int32 [rows, length], which piece of the
         * sequence it is in, counted from 1, 0 for padding; and {@code column_cu_seqlens}, int32 [pieces + 1], where each piece
         * begins in the tokens of the whole batch, and where the last one ends, the padding of a sequence counted as a piece: as
         * attention over sequences of variable length takes it.
         */
        public Builder packed(String column, Packing packing) {
            packed = column;
            this.packing = packing;
            return this;
        }

        /** {@link ShardedBatchSampler} in order, padded, unless said. */
        public Builder sampler(Sampler sampler) {
            this.sampler = sampler;
            return this;
        }

        /**
         * Loads only the rows that an SQL expression such as {@code label < 3} accepts. The sampler deals those rows to the
         * ranks, so that each gets its share of them, and reads no others. They are looked for once, when the loader is
         * opened, in the columns that the expression names; with {@link #group}, by all ranks together.
         */
        public Builder filter(String filter) {
            this.filter = filter;
            return this;
        }

        /** Loads only these rows of the dataset. */
        public Builder rows(RowSelection rows) {
            selection = rows;
            return this;
        }

        /**
         * Loads only so many rows, chosen at random by the seed, of all those that it would load else; all of them where they
         * are fewer. The same ones on every rank and in every epoch.
         */
        public Builder samples(long rows) {
            if (rows < 0) {
                throw new InvalidArgumentException(rows + " samples");
            }
            samples = rows;
            return this;
        }

        /** Rows of a step on this rank. */
        public Builder batchSize(int rows) {
            batchSize = rows;
            return this;
        }

        /**
         * Which share is this rank's; that of its place in the {@link #group}, as the launcher's variables RANK and WORLD_SIZE
         * say, or all rows, unless said. Ranks that share a model, by tensor or pipeline parallelism, all say the place of their
         * replica among the replicas: its rank in the data-parallel dimension, and the size of that one. Where the ranks of a
         * replica follow each other, {@link #replication} says the same in one number.
         */
        public Builder rank(int rank, int worldSize) {
            this.rank = rank;
            this.worldSize = worldSize;
            rankSaid = true;
            return this;
        }

        /** The share of this rank of a group, all of whose ranks open the loader at the same time. */
        public Builder group(ProcessGroup group) {
            this.group = group;
            return this;
        }

        /**
         * Gives the same batches, byte for byte, to each {@code ranks} ranks that follow each other, 1 unless said: ranks 0 to
         * {@code ranks} - 1 are the first replica of a model that they share by tensor or pipeline parallelism, and read what
         * rank 0 of a world of {@code worldSize / ranks} would read alone; and so on. Other layouts: {@link #rank}. What is
         * summed over all ranks then counts each row {@code ranks} times.
         */
        public Builder replication(int ranks) {
            replication = ranks;
            return this;
        }

        /** Of the order of rows, and of what is random in the images; the same on all ranks. */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /** Leaves out a last step of fewer rows. */
        public Builder dropLast() {
            dropLast = true;
            return this;
        }

        /** Begins where another loader was: see {@link DataLoader#resume}, whose errors {@link #open} throws. */
        public Builder resumeFrom(LoaderState state) {
            resumeFrom = state;
            return this;
        }

        /** Adds a tensor {@code _rowid}, int64. */
        public Builder withRowId() {
            withRowId = true;
            return this;
        }

        /**
         * Reads each step's rows by their indices, as a map-style dataset of PyTorch's does: for rows scattered over the
         * dataset. Unless this or {@link #iterableStyle} is called, each step is read in the way that suits its rows; the
         * batches are the same in either way, and any sampler goes with it.
         */
        public Builder mapStyle() {
            access = Access.TAKE;
            return this;
        }

        /** Reads each step's rows range by range, as an iterable-style dataset of PyTorch's does: for long ranges. */
        public Builder iterableStyle() {
            access = Access.STREAM;
            return this;
        }

        /**
         * Threads that decode, beside the one that reads; the machine's cores, shared among its ranks (LOCAL_WORLD_SIZE),
         * unless said. None are started where there is nothing to decode.
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

        /** What to do with rows whose image cannot be decoded; {@link BadRows#FAIL} unless said. */
        public Builder badRows(BadRows policy) {
            badRows = policy;
            return this;
        }

        /** Makes the batch's tensors of those that were read, on the loader's threads. */
        public Builder collate(Collate collate) {
            this.collate = collate;
            return this;
        }

        /**
         * Hands the tensors out on a device: images are decoded into page-locked memory and copied on a stream of the
         * loader's own, while the step before computes.
         */
        public Builder device(Device device) {
            this.device = device;
            return this;
        }

        /**
         * Hands images to the device as bytes, which are a quarter of the size, and makes the floats of their transforms there, by
         * the same formula; rounding on a GPU may differ in the last bit. Unless said, so on other devices than the CPU, where
         * nothing is collated.
         */
        public Builder convertOnDevice(boolean convert) {
            convertOnDevice = convert;
            return this;
        }

        private boolean convertsOnDevice() {
            return convertOnDevice == null ? device.type() != Device.Type.CPU && collate == null : convertOnDevice;
        }

        /** Decodes images into page-locked memory, from which copies to a device run on their own. */
        public Builder pinMemory() {
            pinMemory = true;
            return this;
        }

        /**
         * Keeps the decoded images of the first epoch, as bytes, in a dataset beside the one that is loaded; later epochs, and
         * later runs, read them from there, without a copy where the transform's pixels are bytes. It is opened with the
         * options that the dataset was opened with. See {@link #cache(String, Map)}.
         */
        public Builder cache() {
            return cache(DecodeCache.defaultUri(dataset), dataset.storageOptions());
        }

        /**
         * Keeps decoded images in the dataset at {@code uri}, opened with options as in {@link LanceDataset#open(String, Map)};
         * each takes {@code 3 * height * width} bytes. A step whose rows are all there is read from there; another one is
         * decoded, and its rows are added at the end of the epoch, by each rank for itself. An epoch that is not read to its
         * end adds none. The transforms must not be random.
         */
        public Builder cache(String uri, Map<String, String> storageOptions) {
            cache = uri;
            cacheOptions = Map.copyOf(storageOptions);
            return this;
        }

        /**
         * Makes the loader; nothing is read before it is iterated, but for a {@link #filter}.
         *
         * @throws NotFoundException for a column that is not there
         * @throws UnsupportedException for a column that has no tensor form and no function, and for page-locked memory or a
         *     device that this machine has not
         * @throws InvalidArgumentException for sizes or a rank that cannot be, for a filter that does not parse, for a cache
         *     that is of another dataset or other transforms, and where the sampler refuses
         */
        public DataLoader open() {
            if (decodeThreads < 1 || prefetch < 1 || batchSize < 1) {
                throw new InvalidArgumentException("a batch of " + batchSize + " rows, " + decodeThreads
                        + " decoding threads and a prefetch of " + prefetch + ": all are 1 or more");
            }
            if (decodeThreads > MOST || prefetch > MOST) {
                throw new InvalidArgumentException(decodeThreads + " decoding threads and a prefetch of " + prefetch
                        + ": both are at most " + MOST);
            }
            if (!rankSaid && group != null) {
                worldSize = group.worldSize();
                rank = group.rank();
            } else if (!rankSaid) {
                worldSize = RankEnvironment.worldSizeOrOne();
                rank = worldSize == 1 ? 0 : RankEnvironment.rankOrZero();
            }
            PlanRequest.requireRank(rank, worldSize);
            if (replication < 1 || worldSize % replication != 0) {
                throw new InvalidArgumentException("a replication of " + replication + " in a world of " + worldSize
                        + " ranks: it is 1 or more, and divides the number of ranks");
            }
            if (packing != null) {
                requirePackedAlone();
            } else if (columns.isEmpty()) {
                columns.addAll(dataset.schema().names());
            }
            for (String column : columns) {
                requireTensorForm(dataset.schema().field(column));
            }
            for (String column : images.keySet()) {
                requireColumn(column, "image");
            }
            for (String column : tokens.keySet()) {
                requireColumn(column, "tokens");
                if (images.containsKey(column)
                        || functions.containsKey(column)
                        || dataset.schema().contains(PaddedTokens.lengthsName(column))
                                && columns.contains(PaddedTokens.lengthsName(column))) {
                    throw new InvalidArgumentException("column " + column
                            + " is tokens(...), and also made by image(...) or column(...), or there is" + " a column "
                            + PaddedTokens.lengthsName(column) + " beside it: leave the other out");
                }
            }
            for (String column : functions.keySet()) {
                requireColumn(column, "column");
                if (images.containsKey(column)) {
                    throw new InvalidArgumentException("column " + column
                            + " is both an image(...) and made by a function with column(...): say one of them");
                }
            }
            requireDevice();
            if (collate != null && convertsOnDevice()) {
                throw new InvalidArgumentException(
                        "convertOnDevice makes floats after a collate, which gets the images of the transforms: say one of them");
            }
            RowSelection loaded = RowsToLoad.of(dataset, selection, filter, samples, seed, group);
            Sampler ofRows = dealing(loaded);
            if (loaded != null) {
                ofRows = new SubsetSampler(loaded, ofRows);
            }
            DecodeCache decoded = cache == null ? null : DecodeCache.open(cache, cacheOptions, dataset, images);
            var loader = new DataLoader(this, ofRows, decoded);
            if (resumeFrom == null) {
                loader.plan();
            } else {
                loader.resume(resumeFrom);
            }
            return loader;
        }

        /** Of the rows that are loaded. */
        private Sampler dealing(RowSelection loaded) {
            if (packing == null) {
                return sampler == null ? new ShardedBatchSampler(false, Uneven.PAD) : sampler;
            }
            Sampler order = sampler == null ? new SequentialSampler() : sampler;
            // Refuses a sampler that cannot be, before all documents are read.
            PackedSampler.of(order, packing, null);
            return PackedSampler.of(order, packing, DocumentLengths.read(dataset, loaded, packed, packing, group));
        }

        private void requirePackedAlone() {
            TokenReader.requireTokens(dataset.schema().field(packed));
            if (packing.lengthColumn() != null) {
                Field field = dataset.schema().field(packing.lengthColumn());
                if (!Set.of("c", "C", "s", "S", "i", "I", "l").contains(field.format())) {
                    throw new UnsupportedException("column " + field.name() + " is " + field.typeName()
                            + "; how long documents are is told by integers");
                }
            }
            columns.remove(packed);
            if (!columns.isEmpty()
                    || !images.isEmpty()
                    || !functions.isEmpty()
                    || !tokens.isEmpty()
                    || withRowId
                    || cache != null) {
                throw new InvalidArgumentException("packed(\"" + packed + "\", ...) makes sequences of several rows, to"
                        + " which no other column, row id or cache belongs: leave " + columns + ", image(...),"
                        + " column(...), tokens(...), withRowId() and cache(...) out");
            }
            columns.add(packed);
        }

        /** Tries what the steps will need, so that it is refused here and not there. */
        private void requireDevice() {
            if (device.type() != Device.Type.CPU) {
                device.require();
            }
            if (pinMemory) {
                Tensor.empty(DType.UINT8, Device.CPU, MemoryFormat.CONTIGUOUS, true, 1)
                        .close();
            }
        }

        private void requireColumn(String column, String method) {
            if (!columns.contains(column)) {
                throw new NotFoundException(method + "(\"" + column + "\", ...) is for a column that is not read; "
                        + columns + " are, of " + dataset.schema().names());
            }
        }

        private void requireTensorForm(Field field) {
            if (packing != null || tokens.containsKey(field.name())) {
                TokenReader.requireTokens(field);
            } else if (images.containsKey(field.name())) {
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

    /** Another order of rows from the next iteration on, which begins with the epoch; the same on all ranks. */
    public void setEpoch(long epoch) {
        if (epoch != this.epoch) {
            resumed = null;
            position = null;
            this.epoch = epoch;
        }
    }

    /** What this rank reads in the next iteration. */
    public Plan plan() {
        return next().plan();
    }

    private EpochPlan next() {
        EpochPlan left = resumed;
        return left == null ? whole(epoch) : left;
    }

    private EpochPlan whole(long wanted) {
        EpochPlan known = whole;
        if (known == null || known.epoch() != wanted) {
            var request = new PlanRequest(
                    dataset.fragments(),
                    worldSize / replication,
                    rank / replication,
                    seed,
                    wanted,
                    batchSize,
                    dropLast);
            known = EpochPlan.of(sampler, request);
            whole = known;
        }
        return known;
    }

    /** The number of steps of the next iteration: of the epoch that is set, or of what is left of it after {@link #resume}. */
    public int steps() {
        return plan().steps();
    }

    private static final class Position {
        private final EpochPlan planned;
        // One thread counts up.
        private volatile int taken;

        Position(EpochPlan planned) {
            this.planned = planned;
        }
    }

    /**
     * Where the latest iteration is, behind the batch that it handed out last; batches that are ready and that nobody has
     * taken do not count. Before the first iteration of an epoch, its beginning. All ranks have the same state after the same
     * step. Any thread.
     */
    public LoaderState state() {
        Position current = position;
        return current == null
                ? next().state(dataset.version(), 0)
                : current.planned.state(dataset.version(), current.taken);
    }

    /**
     * Sets the epoch of a state, and begins the next iteration at the very next sample; an iteration after that one begins with
     * the epoch again. The world and, unless the sampler's order depends on it ({@link Sampler}), the batch size may be others
     * than in the run that is resumed. With the same ones, all batches are as they would have been; {@link Batch#step} goes on
     * counting. With others, it goes on as if all of the epoch had been dealt to this world, a part of a step rounded up.
     *
     * @throws InvalidArgumentException where the state is of another version of the dataset, another seed or other rows, or of
     *     a world or batch size with which this sampler cannot go on
     */
    public void resume(LoaderState state) {
        EpochPlan all = whole(state.epoch());
        state.requireSameOrder(all.state(dataset.version(), 0), sampler);
        EpochPlan left = EpochPlan.of(sampler, all.request().withConsumed(state.consumed()));
        epoch = state.epoch();
        position = null;
        resumed = left;
    }

    /** What has been done so far, over all iterations. Any thread. */
    public LoaderStats stats() {
        int queueDepth = 0;
        for (BatchIterator iterator : open) {
            queueDepth += iterator.stream.ready();
        }
        return new LoaderStats(
                batches.get(),
                rows.get(),
                bytes.get(),
                lastBatch - firstRequest,
                waitNanos.get(),
                decodeNanos.get(),
                queueDepth,
                badRowLog.count());
    }

    /** The rows that were skipped or substituted so far, the first 10,000 of them. Any thread. */
    public List<BadRow> badRows() {
        return badRowLog.rows();
    }

    /** Starts to read the epoch that is set, from its beginning or from where it is resumed. */
    @Override
    public Iterator<Batch> iterator() {
        if (closed) {
            throw new IllegalStateException("this DataLoader is closed");
        }
        var iterator = new BatchIterator(next(), whole(epoch).plan());
        resumed = null;
        position = iterator.position;
        open.add(iterator);
        if (closed) {
            iterator.end();
            throw new IllegalStateException("this DataLoader is closed");
        }
        var handedOut = new Iteration(iterator);
        // A loop that is left by break drops its iterator, whose threads nobody would end before the loader's end.
        CLEANER.register(handedOut, iterator::stop);
        return handedOut;
    }

    /** What the caller holds of an iteration: when it is unreachable, the iteration is over. */
    private record Iteration(BatchIterator iterator) implements Iterator<Batch> {
        @Override
        public boolean hasNext() {
            try {
                return iterator.hasNext();
            } finally {
                Reference.reachabilityFence(this);
            }
        }

        @Override
        public Batch next() {
            try {
                return iterator.next();
            } finally {
                Reference.reachabilityFence(this);
            }
        }
    }

    private final class BatchIterator implements Iterator<Batch> {
        private final long epoch;
        private final Position position;
        private final BatchStream stream;
        private final DecodeCache.Epoch cached;
        private volatile Thread consumer;
        private Batch current;
        private boolean ended;

        /** {@code wholeEpoch}: the plan without what was consumed before. */
        BatchIterator(EpochPlan planned, Plan wholeEpoch) {
            epoch = planned.epoch();
            position = new Position(planned);
            Plan plan = planned.plan();
            cached = cache == null ? null : cache.begin(plan, rank % replication == 0);
            StepSource source = null;
            try {
                int readAhead = Math.max(2, prefetch);
                source = cached == null
                        ? new ScanSource(scan(columns, plan, readAhead))
                        : cached.source(this::scan, columns, withRowId, readAhead);
                var assembler = new StepAssembler(
                        sources,
                        plan,
                        seed ^ Long.rotateLeft(epoch, 32),
                        buffers,
                        badRows,
                        new BadRowReplacement(dataset, columns, withRowId, plan, wholeEpoch, seed, epoch, badRowLog),
                        cached,
                        packer,
                        collate,
                        device,
                        decodeThreads);
                stream = assembler.isDirect()
                        ? new DirectBatches(plan, source, assembler)
                        : new BatchPipeline(plan, source, assembler, decodeThreads, prefetch);
            } catch (RuntimeException | Error e) {
                if (source != null) {
                    source.close();
                }
                if (cached != null) {
                    cached.end(false);
                }
                throw e;
            }
        }

        private Scan scan(List<String> columns, Plan steps, int readAhead) {
            Scan.Builder scan = steps.scan(dataset.scan())
                    .columns(columns)
                    .readAhead(readAhead)
                    .access(access);
            if (columns.isEmpty()) {
                scan.rowIdsOnly();
            } else if (withRowId) {
                scan.withRowId();
            }
            return scan.open();
        }

        @Override
        public boolean hasNext() {
            letGo();
            if (closed) {
                throw new IllegalStateException("this DataLoader is closed");
            }
            if (!ended && stream.hasNext()) {
                return true;
            }
            ended = true;
            end();
            return false;
        }

        @Override
        public Batch next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            consumer = Thread.currentThread();
            var event = new BatchEvent();
            event.begin();
            long start = System.nanoTime();
            if (firstRequest == 0) {
                firstRequest = start;
                lastBatch = start;
            }
            try {
                current = stream.next();
            } catch (RuntimeException | Error e) {
                ended = true;
                end();
                throw e;
            }
            position.taken++;
            event.end();
            lastBatch = System.nanoTime();
            waitNanos.addAndGet(lastBatch - start);
            decodeNanos.addAndGet(stream.decodeNanos());
            batches.incrementAndGet();
            rows.addAndGet(current.rows());
            bytes.addAndGet(stream.bytes());
            if (event.shouldCommit()) {
                event.rank = rank;
                event.epoch = epoch;
                event.step = (int) current.step();
                event.rows = current.rows();
                event.bytes = stream.bytes();
                event.decodeTime = stream.decodeNanos();
                event.queueDepth = stream.ready();
                event.commit();
            }
            if (cached != null && !stream.hasNext()) {
                cached.end(true);
            }
            return current;
        }

        private void letGo() {
            if (current != null && !current.isDetached()) {
                current.close();
            }
            current = null;
        }

        void end() {
            stop();
            open.remove(this);
        }

        /** Ends the threads; the batch in use is the loader's to free, at its own end. */
        void stop() {
            stream.close();
            if (cached != null) {
                cached.end(false);
            }
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
     * Ends all iterations and their threads; batches that were detached live on. Any thread but the loader's own, which run
     * {@link Collate} and {@link ColumnFunction}: the one that iterates gets a
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
        buffers.close();
        pool.close();
    }
}
