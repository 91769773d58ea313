package io.lancetorch.random;

import io.lancetorch.error.InvalidArgumentException;
import java.util.Objects;
import java.util.function.LongUnaryOperator;

/**
 * An order of 0 .. n-1 that depends on n, seed and epoch alone, the same on every machine and in every version of Java, and
 * that takes no memory: place i is computed when it is asked for. A Feistel network (Luby, Rackoff, 1988) over a power of two
 * not below n, whose round function is SplitMix64's; a result of n or more goes through it again until it is below (cycle
 * walking: Black, Rogaway, 2002), which keeps it a bijection. It is no cipher.
 */
public final class Permutation implements LongUnaryOperator {
    private static final long MAX_SIZE = 1L << 62;
    private static final int ROUNDS = 8;
    // Halves of fewer bits have so few round functions that some orders come more often than others.
    private static final int MIN_BITS = 8;

    private final long size;
    private final int rightBits;
    private final long leftMask;
    private final long rightMask;
    private final long[] keys = new long[ROUNDS];

    /** The order of {@code size} things, 0 to 2^62. */
    public Permutation(long size, long seed, long epoch) {
        if (size < 0 || size > MAX_SIZE) {
            throw new InvalidArgumentException("an order of " + size + " things: 0 to 2^62 are possible");
        }
        this.size = size;
        int bits = Math.max(MIN_BITS, Long.SIZE - Long.numberOfLeadingZeros(size - 1));
        bits = size == 0 ? MIN_BITS : bits;
        rightBits = bits - bits / 2;
        leftMask = (1L << bits / 2) - 1;
        rightMask = (1L << rightBits) - 1;
        long start = SplitMix64.start(seed, epoch);
        for (int round = 0; round < ROUNDS; round++) {
            keys[round] = SplitMix64.at(start, round);
        }
    }

    /** Which of the things comes at place i. */
    @Override
    public long applyAsLong(long i) {
        long value = Objects.checkIndex(i, size);
        do {
            value = network(value);
        } while (value >= size);
        return value;
    }

    private long network(long value) {
        long left = value >>> rightBits;
        long right = value & rightMask;
        for (int round = 0; round < ROUNDS; round += 2) {
            left ^= SplitMix64.mix(right + keys[round]) & leftMask;
            right ^= SplitMix64.mix(left + keys[round + 1]) & rightMask;
        }
        return left << rightBits | right;
    }
}
