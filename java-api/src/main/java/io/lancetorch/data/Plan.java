package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.RowSelection;
import io.lancetorch.lance.Scan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The rows that one rank reads in each step of one epoch. Held in flat arrays: 24 bytes for a range and 12 for a step. */
public final class Plan {
    private final long[] ranges;
    private final int[] stepEnds;
    private final int[] rows;
    private final int[] validRows;
    private final EpochOrder order;
    private final PackedSteps packed;

    private Plan(Builder builder) {
        order = builder.order;
        packed = builder.packed;
        ranges = Arrays.copyOf(builder.ranges, 3 * builder.rangeCount);
        stepEnds = Arrays.copyOf(builder.stepEnds, builder.steps);
        rows = Arrays.copyOf(builder.rows, builder.steps);
        validRows = Arrays.copyOf(builder.validRows, builder.steps);
    }

    /** The number of steps. */
    public int steps() {
        return stepEnds.length;
    }

    /** Where the steps lie in the epoch's order of samples; null where the sampler has declared none. */
    public EpochOrder order() {
        return order;
    }

    /** How the documents that the steps read are packed into sequences; null where rows are batched as they are. */
    PackedSteps packed() {
        return packed;
    }

    /** The number of a step within its epoch: counted from 0, those before this plan's first one included. */
    long number(int step) {
        return order == null ? step : order.firstStep() + step;
    }

    /** Samples of the epoch's order that all ranks have consumed when so many steps are done; after the last one, all. */
    long consumed(int steps) {
        return steps == steps() ? order.rows() : order.consumed(steps);
    }

    /** The rows of a step, repeats included. */
    public int rows(int step) {
        return rows[step];
    }

    /** How many rows of a step, from the first on, are not repeats that only fill it up. */
    public int validRows(int step) {
        return validRows[step];
    }

    /** The rows of all steps that are not repeats. */
    public long totalValidRows() {
        long total = 0;
        for (int valid : validRows) {
            total += valid;
        }
        return total;
    }

    /** The ranges of a step, in the order in which its rows come. */
    public List<RowRange> ranges(int step) {
        List<RowRange> result = new ArrayList<>(stepEnds[step] - stepBegin(step));
        forEachRange(step, (fragment, begin, end) -> result.add(new RowRange(fragment, begin, end)));
        return result;
    }

    /** Calls {@code visitor} with the ranges of a step, in the order in which its rows come. */
    public void forEachRange(int step, RowSelection.RangeVisitor visitor) {
        for (int i = stepBegin(step); i < stepEnds[step]; i++) {
            visitor.range(ranges[3 * i], ranges[3 * i + 1], ranges[3 * i + 2]);
        }
    }

    private int stepBegin(int step) {
        return step == 0 ? 0 : stepEnds[step - 1];
    }

    /** The ranges of every step. */
    public List<List<RowRange>> allRanges() {
        List<List<RowRange>> all = new ArrayList<>(steps());
        for (int step = 0; step < steps(); step++) {
            all.add(ranges(step));
        }
        return all;
    }

    /** Makes each step a batch of a scan. */
    Scan.Builder scan(Scan.Builder scan) {
        return scan.batches(ranges, Arrays.stream(stepEnds).asLongStream().toArray());
    }

    /** Takes the rows of a step, one after the other. */
    @FunctionalInterface
    interface RowVisitor {
        /** {@code row}: counted from 0 within the step. {@code key}: tells the rows of a dataset apart. */
        void visit(int row, long key);
    }

    /** The key of a row: the fragment's id in the upper half, the row in the lower. */
    static long key(long fragmentId, long row) {
        return fragmentId << 32 | row;
    }

    static long fragmentOf(long key) {
        return key >>> 32;
    }

    static long rowOf(long key) {
        return key & 0xffffffffL;
    }

    /** Visits the rows of a step, with the key of each. */
    void forEachRow(int step, RowVisitor visitor) {
        int row = 0;
        for (int i = stepBegin(step); i < stepEnds[step]; i++) {
            for (long at = ranges[3 * i + 1]; at < ranges[3 * i + 2]; at++) {
                visitor.visit(row++, key(ranges[3 * i], at));
            }
        }
    }

    /** Says which row of which fragment is row {@code row} of a step; nothing where the step has no such row. */
    String describe(int step, long row) {
        var text = new StringBuilder();
        forEachRow(step, (index, key) -> {
            if (index == row) {
                text.append(" (fragment ")
                        .append(fragmentOf(key))
                        .append(", row ")
                        .append(rowOf(key))
                        .append(')');
            }
        });
        return text.toString();
    }

    /** Puts a plan together, step by step. */
    public static final class Builder {
        private static final int MAX_LENGTH = (Integer.MAX_VALUE - 8) / 3 * 3;

        private long[] ranges = new long[48];
        private int rangeCount;
        private int[] stepEnds = new int[16];
        private int[] rows = new int[16];
        private int[] validRows = new int[16];
        private int steps;
        private long openRows;
        private EpochOrder order;
        private PackedSteps packed;

        /** Starts a plan without steps. */
        public Builder() {}

        /** Adds rows to the step that is open; a range that goes on where the last one ended is joined to it. */
        public Builder add(long fragmentId, long begin, long end) {
            if (begin < 0 || end < begin) {
                throw new InvalidArgumentException(
                        "rows " + begin + " to " + end + " of fragment " + fragmentId + " are no range");
            }
            if (begin == end) {
                return this;
            }
            openRows += end - begin;
            int first = steps == 0 ? 0 : stepEnds[steps - 1];
            int last = 3 * (rangeCount - 1);
            if (rangeCount > first && ranges[last] == fragmentId && ranges[last + 2] == begin) {
                ranges[last + 2] = end;
                return this;
            }
            if (3 * rangeCount == ranges.length) {
                ranges = Arrays.copyOf(ranges, grown(ranges.length));
            }
            ranges[3 * rangeCount] = fragmentId;
            ranges[3 * rangeCount + 1] = begin;
            ranges[3 * rangeCount + 2] = end;
            rangeCount++;
            return this;
        }

        /** Rows of the step that is open. */
        public long openRows() {
            return openRows;
        }

        /** Ends the step; {@code valid} of its rows, from the first on, are not repeats. */
        public Builder endStep(long valid) {
            if (openRows == 0 || openRows > Integer.MAX_VALUE || valid < 0 || valid > openRows) {
                throw new InvalidArgumentException("a step of " + openRows + " rows, " + valid + " of them valid");
            }
            if (steps == stepEnds.length) {
                stepEnds = Arrays.copyOf(stepEnds, grown(steps));
                rows = Arrays.copyOf(rows, stepEnds.length);
                validRows = Arrays.copyOf(validRows, stepEnds.length);
            }
            stepEnds[steps] = rangeCount;
            rows[steps] = (int) openRows;
            validRows[steps++] = (int) valid;
            openRows = 0;
            return this;
        }

        /** Half as much again; the length stays a multiple of 3. */
        private static int grown(int length) {
            if (length == MAX_LENGTH) {
                throw new InvalidArgumentException("a plan of more than " + MAX_LENGTH / 3 + " ranges or " + MAX_LENGTH
                        + " steps: use more ranks, larger batches or longer ranges");
            }
            return (int) Math.min(MAX_LENGTH, length + length / 6L * 3);
        }

        /** Declares the epoch's order of samples, and where the plan's steps lie in it. */
        public Builder order(EpochOrder order) {
            this.order = order;
            return this;
        }

        Builder packed(PackedSteps packed) {
            this.packed = packed;
            return this;
        }

        /** Adds a whole step of another plan. */
        Builder addStep(Plan plan, int step) {
            plan.forEachRange(step, this::add);
            return endStep(plan.validRows(step));
        }

        public Plan build() {
            if (openRows > 0) {
                throw new InvalidArgumentException("the last step is not ended");
            }
            return new Plan(this);
        }
    }
}
