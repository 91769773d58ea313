package io.lancetorch.examples;

import com.sun.management.ThreadMXBean;
import io.lancetorch.data.Plan;
import io.lancetorch.data.PlanRequest;
import io.lancetorch.data.Sampler;
import java.lang.management.ManagementFactory;
import java.util.stream.IntStream;

/**
 * What one rank reads in an epoch, and what it costs to plan it.
 *
 * @param rows repeats included
 * @param validRows without repeats
 * @param reads ranges of neighbouring rows
 * @param allocated bytes, on the heap
 * @param seconds that the plan took
 */
record EpochShare(int rank, int steps, long rows, long validRows, long reads, long allocated, double seconds) {
    static EpochShare plan(Sampler sampler, PlanRequest request) {
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        long start = System.nanoTime();
        Plan plan = sampler.plan(request);
        double seconds = (System.nanoTime() - start) / 1e9;
        long allocated = threads.getCurrentThreadAllocatedBytes() - before;
        long[] reads = {0};
        long rows = 0;
        for (int step = 0; step < plan.steps(); step++) {
            rows += plan.rows(step);
            plan.forEachRange(step, (fragment, begin, end) -> reads[0]++);
        }
        return new EpochShare(request.rank(), plan.steps(), rows, plan.totalValidRows(), reads[0], allocated, seconds);
    }

    /** The first two ranks of a world, the one in the middle, and the last two, as far as there are so many. */
    static int[] someRanks(int worldSize) {
        return IntStream.of(0, 1, worldSize / 2, worldSize - 2, worldSize - 1)
                .filter(rank -> rank >= 0 && rank < worldSize)
                .distinct()
                .sorted()
                .toArray();
    }
}
