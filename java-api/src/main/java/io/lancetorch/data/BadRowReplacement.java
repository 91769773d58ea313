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
    private final long seed;
    private final long epoch;
    private final BadRowLog log;
    private final RowPositions positions;

    BadRowReplacement(
            LanceDataset dataset,
            List<String> columns,
            boolean withRowId,
            Plan plan,
            long seed,
            long epoch,
            BadRowLog log) {
        this.dataset = dataset;
        this.columns = columns;
        this.withRowId = withRowId;
        this.plan = plan;
        this.seed = seed;
        this.epoch = epoch;
        this.log = log;
        positions = new RowPositions(dataset.fragments());
    }

    /** Notes a bad row. */
    void report(int step, int row, String column, String reason) {
        long key = key(step, row);
        log.add(new BadRow(epoch, step, Plan.fragmentOf(key), Plan.rowOf(key), column, reason));
    }

    private long key(int step, int row) {
        var found = new AtomicLong();
        plan.forEachRow(step, (index, key) -> {
            if (index == row) {
                found.set(key);
            }
        });
        return found.get();
    }

    /**
     * Reads a step with other rows for the bad ones, and tells their keys to {@code newKeys}. {@code attempt}: others again
     * for each. The caller closes the rows.
     */
    RecordBatch read(int step, boolean[] bad, int attempt, Plan.RowVisitor newKeys) {
        if (attempt == MAX_ATTEMPTS) {
            throw new CorruptDataException(
                    "step " + step + ": of " + MAX_ATTEMPTS
                            + " draws of rows in the place of rows that cannot be decoded,"
                            + " none could be decoded either: keep such rows by BadRows.SUBSTITUTE, or mend "
                            + dataset.uri(),
                    -1);
        }
        long[] taken = new long[bad.length];
        plan.forEachRow(step, (row, key) -> {
            long used = key;
            if (bad[row]) {
                used = draw(new SplittableRandom(seed ^ Long.rotateLeft(epoch, 32) ^ key * 31 + attempt));
                newKeys.visit(row, used);
            }
            taken[row] = positions.of(used);
        });
        return dataset.take(taken, columns, withRowId);
    }

    /** The key of some row of this rank's epoch. */
    private long draw(SplittableRandom random) {
        int step = (int) Long.remainderUnsigned(random.nextLong(), plan.steps());
        return key(step, (int) Long.remainderUnsigned(random.nextLong(), plan.rows(step)));
    }
}
