package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/**
 * How documents, which are lists of token ids of any length, become sequences of one length: see {@link
 * DataLoader.Builder#packed}.
 *
 * @param length tokens of a sequence. A trainer that predicts each token's next one wants one more than its model's context
 * @param splits cut the documents, one after the other, into sequences, so that only an epoch's last one has padding; else put
 *     whole documents together
 * @param endOfText a token that is put behind each document; negative: none
 * @param padValue the token that fills up a sequence
 * @param lengthColumn a column of integers that tells how many tokens each document has; null: the documents are read for it
 */
public record Packing(int length, boolean splits, long endOfText, long padValue, String lengthColumn) {
    public Packing {
        if (length < 1) {
            throw new InvalidArgumentException("sequences of " + length + " tokens");
        }
    }

    /**
     * The documents of an epoch in their order as one stream of tokens, cut into sequences: as GPTs are trained. A document
     * goes on in the next sequence.
     */
    public static Packing concatenate(int length) {
        return new Packing(length, true, -1, 0, null);
    }

    /**
     * Whole documents, put together so that little room is left: of each 4,096 documents in the epoch's order,
     * the longest first, each into the sequence in which it leaves the least room (best fit decreasing). The sequences of these
     * then come in an order of their own, by the seed. What is longer than a sequence is cut off.
     */
    public static Packing bestFit(int length) {
        return new Packing(length, false, -1, 0, null);
    }

    /** Puts this token behind each document; one that is cut off goes without. */
    public Packing endOfText(long token) {
        return new Packing(length, splits, token, padValue, lengthColumn);
    }

    /** Fills sequences up with this token; 0 unless said. */
    public Packing padValue(long token) {
        return new Packing(length, splits, endOfText, token, lengthColumn);
    }

    /** Reads from this column of integers, and not from the documents themselves, how long they are. */
    public Packing lengthColumn(String column) {
        return new Packing(length, splits, endOfText, padValue, column);
    }

    boolean hasEndOfText() {
        return endOfText >= 0;
    }
}
