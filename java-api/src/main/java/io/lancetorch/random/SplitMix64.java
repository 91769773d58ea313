package io.lancetorch.random;

/**
 * The generator SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), read at any place: the
 * same numbers on every machine and in every version of Java, without a state.
 */
public final class SplitMix64 {
    private static final long GAMMA = 0x9e3779b97f4a7c15L;

    private SplitMix64() {}

    /** Where the generator of a seed and an epoch starts; neighbours in either are far apart. */
    public static long start(long seed, long epoch) {
        return mix(mix(seed + GAMMA) ^ epoch * GAMMA);
    }

    /** The {@code index}-th number, from 0 on, of the generator that starts there: 64 random bits. */
    public static long at(long start, long index) {
        return mix(start + (index + 1) * GAMMA);
    }

    /** A bijection of 64 bits in which every bit of the result depends on all of {@code z}. */
    public static long mix(long z) {
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }

    /** Makes 64 random bits a number from 0 to {@code bound} - 1; each is equally likely but for a share of bound / 2^64. */
    public static long below(long bound, long random) {
        return Math.unsignedMultiplyHigh(random, bound);
    }

    /** Makes 64 random bits a number between 0 and 1, never one of them. */
    public static double fraction(long random) {
        return ((random >>> 12) + 0.5) * 0x1p-52;
    }
}
