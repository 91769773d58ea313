package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Fragment;
import java.util.List;

/**
 * Deals batches: the dataset's rows, in order, are cut into batches of {@code batchSize}, and in each step every rank takes
 * the next one of the epoch's order. Shares differ by less than one batch, whatever the fragments' sizes. The rows that do
 * not fill a whole batch come in the last step.
 *
 * @param shuffle take the batches in another order each epoch
 * @param uneven where the last step does not give every rank the same number of rows: repeat rows from the dataset's
 *     beginning, cut it down to the smallest share, or refuse
 */
public record ShardedBatchSampler(boolean shuffle, Uneven uneven) implements Sampler {
    /** Shuffled and padded. */
    public ShardedBatchSampler() {
        this(true, Uneven.PAD);
    }

    @Override
    public Plan plan(PlanRequest request) {
        List<Fragment> fragments = request.fragments();
        long[] starts = new long[fragments.size() + 1];
        for (int i = 0; i < fragments.size(); i++) {
            starts[i + 1] = starts[i] + fragments.get(i).rows();
        }
        long total = starts[fragments.size()];
        int size = request.batchSize();
        int world = request.worldSize();
        if (total / size > Integer.MAX_VALUE - 1) {
            throw new InvalidArgumentException(
                    total + " rows make more than 2^31 batches of " + size + ": use larger batches");
        }
        int full = (int) (total / size);
        int[] order = Permutation.order(full, shuffle, request);
        var plan = new Plan.Builder();
        int wholeRounds = full / world;
        for (int round = 0; round < wholeRounds; round++) {
            int position = round * world + request.rank();
            long begin = (long) size * order[position];
            add(plan, fragments, starts, begin, begin + size);
            plan.endStep(size);
        }
        lastRound(request, fragments, starts, order, full, plan);
        return plan.build();
    }

    /** The step in which some ranks have a whole batch, one may have what is left, and others nothing. */
    private void lastRound(
            PlanRequest request, List<Fragment> fragments, long[] starts, int[] order, int full, Plan.Builder plan) {
        int size = request.batchSize();
        int world = request.worldSize();
        long total = starts[starts.length - 1];
        int wholeLeft = full % world;
        long rest = total % size;
        if (wholeLeft == 0 && rest == 0) {
            return;
        }
        long most = wholeLeft > 0 ? size : rest;
        long least = wholeLeft + (rest > 0 ? 1 : 0) < world ? 0 : rest;
        if (uneven == Uneven.REFUSE && most != least) {
            throw new InvalidArgumentException("the last of " + (full / world + 1) + " steps has " + most
                    + " rows for rank 0 and " + least + " for rank " + (world - 1) + ", of " + total
                    + " rows in batches of " + size + " on " + world + " ranks: pad or drop");
        }
        long rows = uneven == Uneven.DROP ? least : most;
        if (rows == 0 || rows < size && request.dropLast()) {
            return;
        }
        int position = full - wholeLeft + request.rank();
        long begin;
        long mine;
        if (request.rank() < wholeLeft) {
            begin = (long) size * order[position];
            mine = size;
        } else {
            begin = (long) size * full;
            mine = request.rank() == wholeLeft ? rest : 0;
        }
        long valid = Math.min(mine, rows);
        add(plan, fragments, starts, begin, begin + valid);
        for (long missing = rows - valid; missing > 0; ) {
            long repeat = Math.min(missing, total);
            add(plan, fragments, starts, 0, repeat);
            missing -= repeat;
        }
        plan.endStep(valid);
    }

    private static void add(Plan.Builder plan, List<Fragment> fragments, long[] starts, long begin, long end) {
        if (begin == end) {
            return;
        }
        int index = java.util.Arrays.binarySearch(starts, begin);
        index = index >= 0 ? index : -index - 2;
        for (long at = begin; at < end; index++) {
            long stop = Math.min(end, starts[index + 1]);
            if (stop > at) {
                plan.add(fragments.get(index).id(), at - starts[index], stop - starts[index]);
                at = stop;
            }
        }
    }
}
