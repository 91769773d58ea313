package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Where a {@link DataLoader} is in an epoch: a few numbers, the same on all ranks, and, for the same samples consumed, the same
 * for any number of ranks and threads, unless the sampler's order depends on these.
 *
 * @param datasetVersion of the dataset that is read
 * @param seed of the order of rows
 * @param epoch of which {@code consumed} counts
 * @param consumed samples that all ranks together have been given, from the beginning of the epoch's order on
 * @param rows samples of the whole epoch
 * @param batchSize rows of a step on one rank, where the epoch's order depends on it; else 0
 * @param worldSize the number of ranks, where the epoch's order depends on it; else 0
 */
public record LoaderState(
        long datasetVersion, long seed, long epoch, long consumed, long rows, int batchSize, int worldSize) {
    private static final String VERSION = "dataset_version";
    private static final String SEED = "seed";
    private static final String EPOCH = "epoch";
    private static final String CONSUMED = "samples_consumed";
    private static final String ROWS = "epoch_rows";
    private static final String BATCH_SIZE = "batch_size";
    private static final String WORLD_SIZE = "world_size";

    public LoaderState {
        if (consumed < 0 || consumed > rows || batchSize < 0 || worldSize < 0) {
            throw new InvalidArgumentException(consumed + " samples consumed of an epoch of " + rows
                    + ", in batches of " + batchSize + " on " + worldSize + " ranks, are no position of a loader");
        }
    }

    /** Whether nothing is left of the epoch. */
    public boolean isAtEnd() {
        return consumed == rows;
    }

    /** Numbers by name, of class Long, for a checkpoint. */
    public Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put(VERSION, datasetVersion);
        map.put(SEED, seed);
        map.put(EPOCH, epoch);
        map.put(CONSUMED, consumed);
        map.put(ROWS, rows);
        map.put(BATCH_SIZE, (long) batchSize);
        map.put(WORLD_SIZE, (long) worldSize);
        return map;
    }

    /**
     * What {@link #toMap} made, possibly written and read in between; further entries are ignored.
     *
     * @throws CorruptDataException where an entry is missing or no whole number
     */
    public static LoaderState fromMap(Map<?, ?> map) {
        return new LoaderState(
                number(map, VERSION),
                number(map, SEED),
                number(map, EPOCH),
                number(map, CONSUMED),
                number(map, ROWS),
                size(map, BATCH_SIZE),
                size(map, WORLD_SIZE));
    }

    private static long number(Map<?, ?> map, String name) {
        Object value = map.get(name);
        if (value instanceof Long || value instanceof Integer) {
            return ((Number) value).longValue();
        }
        throw new CorruptDataException("a loader's state has " + name + " " + value + ", which is no whole number", -1);
    }

    private static int size(Map<?, ?> map, String name) {
        long value = number(map, name);
        if (value != (int) value) {
            throw new CorruptDataException("a loader's state has " + name + " " + value, -1);
        }
        return (int) value;
    }

    /**
     * Makes sure that a run of this state can go on with that of {@code other}, a state of the same epoch.
     *
     * @throws InvalidArgumentException naming what differs
     */
    void requireSameOrder(LoaderState other, Object sampler) {
        requireSame("version", datasetVersion, other.datasetVersion, "of the dataset: open that version");
        requireSame("seed", seed, other.seed, "of the loader: set that seed");
        requireSame(
                "world size",
                worldSize,
                other.worldSize,
                "of " + sampler + ", which resumes with the same number of ranks only (0: any): FullScanSampler,"
                        + " DistributedSampler, BatchSampler and ShardedBatchSampler resume in any world");
        requireSame(
                "batch size",
                batchSize,
                other.batchSize,
                "of " + sampler + ", whose order depends on it (0: does not): keep batch size and sampler");
        requireSame("rows", rows, other.rows, "an epoch: load the same rows by the same sampler");
    }

    private static void requireSame(String name, long stopped, long resumed, String advice) {
        if (stopped != resumed) {
            throw new InvalidArgumentException(
                    "the run that is resumed has " + name + " " + stopped + ", this one " + resumed + " " + advice);
        }
    }
}
