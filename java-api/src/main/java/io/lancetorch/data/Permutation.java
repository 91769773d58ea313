package io.lancetorch.data;

/**
 * An order of 0 .. n-1 that depends on seed and epoch alone, the same on every machine and in every version of Java: the
 * shuffle of Fisher and Yates over the generator SplitMix64 (Steele, Lea, Flood, 2014), whose first state mixes both.
 */
final class Permutation {
    private static final long GAMMA = 0x9e3779b97f4a7c15L;

    private long state;

    private Permutation(long seed, long epoch) {
        state = mix(mix(seed + GAMMA) ^ epoch * GAMMA);
    }

    /** 0, 1, ... n - 1. */
    static int[] identity(int n) {
        int[] order = new int[n];
        for (int i = 0; i < n; i++) {
            order[i] = i;
        }
        return order;
    }

    /** The order in which an epoch takes n things: shuffled, or as they are. */
    static int[] order(int n, boolean shuffle, PlanRequest request) {
        return shuffle ? of(n, request.seed(), request.epoch()) : identity(n);
    }

    static int[] of(int n, long seed, long epoch) {
        int[] order = identity(n);
        var random = new Permutation(seed, epoch);
        for (int i = n - 1; i > 0; i--) {
            int j = (int) random.below(i + 1L);
            int other = order[i];
            order[i] = order[j];
            order[j] = other;
        }
        return order;
    }

    private long below(long bound) {
        // Values from the incomplete last round would make small results likelier.
        long limit = Long.divideUnsigned(-1L, bound) * bound;
        long value;
        do {
            state += GAMMA;
            value = mix(state);
        } while (Long.compareUnsigned(value, limit) >= 0);
        return Long.remainderUnsigned(value, bound);
    }

    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }
}
