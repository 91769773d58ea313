package io.lancetorch.data;

import io.lancetorch.tensor.Event;
import io.lancetorch.tensor.Tensor;
import java.util.Arrays;
import java.util.concurrent.atomic.LongAdder;

/**
 * A step on its way through a loader, and the memory that one step after another uses. The parts are the work that threads
 * share: some rows of an image column, or all of a column that has a function.
 */
final class StepSlot {
    final ImageBuffer[] buffers;
    final LongAdder decodeNanos = new LongAdder();
    int step;
    int rows;
    StepRecords records;
    String[] names;
    Tensor[] tensors;
    boolean[] bad;
    long bytes;
    Event copied;

    int[] partColumns = new int[16];
    int[] partFirsts = new int[16];
    int[] partCounts = new int[16];
    int parts;

    // What follows is guarded by the pipeline's lock.
    int nextPart;
    int partsLeft;
    int failedPart;
    Throwable failure;
    boolean ready;

    StepSlot(int columns) {
        buffers = new ImageBuffer[columns];
    }

    void begin(int step, StepRecords records) {
        this.step = step;
        this.records = records;
        rows = (int) records.rows();
        names = null;
        tensors = null;
        bad = null;
        bytes = 0;
        copied = null;
        decodeNanos.reset();
        parts = 0;
        nextPart = 0;
        failedPart = Integer.MAX_VALUE;
        failure = null;
        ready = false;
    }

    void addPart(int column, int first, int count) {
        if (parts == partColumns.length) {
            partColumns = Arrays.copyOf(partColumns, 2 * parts);
            partFirsts = Arrays.copyOf(partFirsts, 2 * parts);
            partCounts = Arrays.copyOf(partCounts, 2 * parts);
        }
        partColumns[parts] = column;
        partFirsts[parts] = first;
        partCounts[parts++] = count;
    }

    /** Whether the row was not marked before. */
    boolean markBad(int row) {
        if (bad == null) {
            bad = new boolean[rows];
        }
        boolean isNew = !bad[row];
        bad[row] = true;
        return isNew;
    }

    /** Frees the rows that were read. */
    void closeRecords() {
        if (records != null) {
            records.close();
            records = null;
        }
    }

    /** Frees all but the buffers. */
    void discard() {
        closeRecords();
        if (tensors != null) {
            for (Tensor tensor : tensors) {
                if (tensor != null) {
                    tensor.close();
                }
            }
            tensors = null;
        }
    }
}
