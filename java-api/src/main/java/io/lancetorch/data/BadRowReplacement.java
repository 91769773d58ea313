package io.lancetorch.data;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.RecordBatch;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Chooses the rows that come in the places of bad ones in one epoch: other rows of the same rank, by seed, epoch and the bad
 * row, so that a run can be repeated. Any thread.
 */
final class BadRowReplacement {
    private static final int MAX_ATTEMPTS = 100;

    private final LanceDataset dataset;
    private final List<String> columns;
    private final boolean withRowId;
    private final Plan plan;
    private final Plan wholeEpoch;
    private final long seed;
    private final long epoch;
    private final BadRowLog log;
    private final RowPositions positions;

    /** {@code wholeEpoch}: the plan from whose rows it chooses, the same where the epoch is resumed. */
    BadRowReplacement(
            LanceDataset dataset,
            List<String> columns,
            boolean withRowId,
            Plan plan,
            Plan wholeEpoch,
            long seed,
            long epoch,
            BadRowLog log) {
        this.dataset = dataset;
        this.columns = columns;
        this.withRowId = withRowId;
        this.plan = plan;
        this.wholeEpoch = wholeEpoch;
        this.seed = seed;
        this.epoch = epoch;
        this.log = log;
        positions = new RowPositions(dataset.fragments());
    }

    /** Notes that a row is bad in a column. {@code counts}: the row was not noted for another column of the step before. */
    void report(int step, int row, String column, String reason, boolean counts) {
        long key = key(plan, step, row);
        int number = Math.toIntExact(plan.number(step));
        log.add(new BadRow(epoch, number, Plan.fragmentOf(key), Plan.rowOf(key), column, reason), counts);
    }

    private static long key(Plan plan, int step, int row) {
        var found = new AtomicLong();
        plan.forEachRow(step, (index, key) -> {
            if (index == row) {
                found.set(key);
            }
        });
        return found.get();
    }

    /** The positions in the dataset of a step's rows, as they are planned. */
    long[] positions(int step) {
        long[] result = new long[plan.rows(step)];
        plan.forEachRow(step, (row, key) -> result[row] = positions.of(key));
        return result;
    }

    /**
     * Reads the rows at {@code taken}, after others have been drawn for the {@code bad} ones of them, whose keys are told to
     * {@code newKeys}. {@code attempt}: others again for each. The caller closes the rows.
     */
    RecordBatch read(int step, long[] taken, boolean[] bad, int attempt, Plan.RowVisitor newKeys) {
        if (attempt == MAX_ATTEMPTS) {
            throw new CorruptDataException(
                    "step " + plan.number(step) + ": " + MAX_ATTEMPTS
                            + " rows were drawn for the place of one that cannot be decoded, and none of them could be"
                            + " decoded either: keep such rows by BadRows.SUBSTITUTE, or mend "
                            + dataset.uri(),
                    -1);
        }
        plan.forEachRow(step, (row, key) -> {
            if (bad[row]) {
                long drawn = draw(new SplittableRandom(seed ^ Long.rotateLeft(epoch, 32) ^ key * 31 + attempt));
                newKeys.visit(row, drawn);
                taken[row] = positions.of(drawn);
            }
        });
        return dataset.take(taken, columns, withRowId);
    }

    /** The key of some row of this rank's epoch. */
    private long draw(SplittableRandom random) {
        int step = (int) Long.remainderUnsigned(random.nextLong(), wholeEpoch.steps());
        return key(wholeEpoch, step, (int) Long.remainderUnsigned(random.nextLong(), wholeEpoch.rows(step)));
    }
}
