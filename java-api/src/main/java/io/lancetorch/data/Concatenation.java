package io.lancetorch.data;

import java.util.Arrays;

/** Documents as one stream of tokens, cut into sequences. */
final class Concatenation implements PackedEpoch {
    private static final int WINDOW = 256;

    private final RowSequence documents;
    private final int[] lengths;
    private final int length;
    private final int extra;
    /** Tokens before each window of documents; at its end, all. */
    private final long[] starts;

    // Where the sequence that was asked for last ends: consecutive ones go on from there.
    private long next = -1;
    private long place;
    private long offset;

    Concatenation(Packing packing, RowSequence documents, int[] lengths) {
        this.documents = documents;
        this.lengths = lengths;
        length = packing.length();
        extra = packing.hasEndOfText() ? 1 : 0;
        starts = new long[Math.toIntExact(Math.ceilDiv(documents.size(), WINDOW) + 1)];
        for (int window = 0; window + 1 < starts.length; window++) {
            long tokens = 0;
            long end = Math.min(documents.size(), (window + 1L) * WINDOW);
            for (long at = (long) window * WINDOW; at < end; at++) {
                tokens += tokens(at);
            }
            starts[window + 1] = starts[window] + tokens;
        }
    }

    private long tokens(long place) {
        return (long) lengths[(int) documents.at(place)] + extra;
    }

    private long total() {
        return starts[starts.length - 1];
    }

    @Override
    public long sequences() {
        return Math.ceilDiv(total(), length);
    }

    @Override
    public void forEachPiece(long sequence, PieceVisitor visitor) {
        if (sequence != next) {
            seek(sequence * length);
        }
        long left = Math.min(length, total() - sequence * length);
        while (left > 0) {
            long rest = tokens(place) - offset;
            long count = Math.min(left, rest);
            if (count > 0) {
                visitor.piece(documents.at(place), (int) offset, (int) count);
            }
            left -= count;
            offset += count;
            if (count == rest) {
                place++;
                offset = 0;
            }
        }
        next = sequence + 1;
    }

    private void seek(long token) {
        int found = Arrays.binarySearch(starts, token);
        int window = found >= 0 ? found : -found - 2;
        place = (long) window * WINDOW;
        offset = token - starts[window];
        while (offset >= tokens(place)) {
            offset -= tokens(place++);
        }
    }
}
