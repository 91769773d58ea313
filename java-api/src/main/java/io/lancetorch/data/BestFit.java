package io.lancetorch.data;

import io.lancetorch.random.Permutation;
import io.lancetorch.random.SplitMix64;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Whole documents in sequences by best fit decreasing (D. S. Johnson, "Near-optimal bin packing algorithms", 1973), window by
 * window.
 */
final class BestFit implements PackedEpoch {
    /** Documents that are packed together: enough to fill the sequences well, few enough to stay near their order. */
    static final int WINDOW = 4096;

    private final RowSequence documents;
    private final int[] lengths;
    private final int length;
    private final int extra;
    private final long seed;
    private final long epoch;
    /** Sequences before each window; at its end, all. */
    private final long[] starts;

    /** For each rest, the sequence that was left with it last; each names the one before it. */
    private final int[] newest;

    private final int[] older = new int[WINDOW];
    private final BitSet open = new BitSet();
    private final long[] byLength = new long[WINDOW];
    private final int[] sequenceOf = new int[WINDOW];
    private int packed = -1;
    private int sequences;
    private long[][] contents;

    BestFit(Packing packing, RowSequence documents, int[] lengths, long seed, long epoch) {
        this.documents = documents;
        this.lengths = lengths;
        length = packing.length();
        extra = packing.hasEndOfText() ? 1 : 0;
        this.seed = seed;
        this.epoch = epoch;
        newest = new int[length + 1];
        starts = new long[Math.toIntExact(Math.ceilDiv(documents.size(), WINDOW) + 1)];
        for (int window = 0; window + 1 < starts.length; window++) {
            pack(window);
            starts[window + 1] = starts[window] + sequences;
        }
    }

    private int tokens(long document) {
        return (int) Math.min(length, (long) lengths[(int) document] + extra);
    }

    /** Gives each document of a window its sequence; returns how many documents are not empty. */
    private int pack(int window) {
        packed = window;
        contents = null;
        int count = 0;
        long begin = (long) window * WINDOW;
        long end = Math.min(documents.size(), begin + WINDOW);
        for (long place = begin; place < end; place++) {
            int tokens = tokens(documents.at(place));
            if (tokens > 0) {
                // The longest first, and of the same length the first.
                byLength[count++] = (long) (length - tokens) << 32 | place - begin;
            }
        }
        Arrays.sort(byLength, 0, count);
        open.clear();
        sequences = 0;
        for (int i = 0; i < count; i++) {
            int tokens = length - (int) (byLength[i] >>> 32);
            int rest = open.nextSetBit(tokens);
            int sequence;
            if (rest < 0) {
                sequence = sequences++;
                rest = length;
            } else {
                sequence = newest[rest];
                newest[rest] = older[sequence];
                if (newest[rest] < 0) {
                    open.clear(rest);
                }
            }
            sequenceOf[i] = sequence;
            rest -= tokens;
            if (rest > 0) {
                older[sequence] = open.get(rest) ? newest[rest] : -1;
                newest[rest] = sequence;
                open.set(rest);
            }
        }
        return count;
    }

    private void fill(int window) {
        int count = pack(window);
        int[] sizes = new int[sequences];
        for (int i = 0; i < count; i++) {
            sizes[sequenceOf[i]]++;
        }
        // Else the sequences of long documents would come before those of short ones.
        var order = new Permutation(sequences, SplitMix64.start(seed, window), epoch);
        long[][] unordered = new long[sequences][];
        contents = new long[sequences][];
        for (int i = 0; i < sequences; i++) {
            unordered[i] = new long[sizes[i]];
            contents[(int) order.applyAsLong(i)] = unordered[i];
            sizes[i] = 0;
        }
        for (int i = 0; i < count; i++) {
            int sequence = sequenceOf[i];
            long place = (long) window * WINDOW + (int) byLength[i];
            unordered[sequence][sizes[sequence]++] = documents.at(place);
        }
    }

    @Override
    public long sequences() {
        return starts[starts.length - 1];
    }

    @Override
    public void forEachPiece(long sequence, PieceVisitor visitor) {
        int found = Arrays.binarySearch(starts, sequence);
        int window = found >= 0 ? found : -found - 2;
        while (starts[window + 1] == starts[window]) {
            window++;
        }
        if (packed != window || contents == null) {
            fill(window);
        }
        for (long document : contents[(int) (sequence - starts[window])]) {
            visitor.piece(document, 0, tokens(document));
        }
    }
}
