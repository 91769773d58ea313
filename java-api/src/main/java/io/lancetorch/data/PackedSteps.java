package io.lancetorch.data;

import java.util.Arrays;

/** The sequences of each step of a {@link Plan}, and the pieces of the step's documents in them: 16 bytes for a piece. */
final class PackedSteps {
    private static final int WIDTH = 4;

    private final int[] pieces;
    private final int[] sequenceEnds;
    private final int[] stepEnds;
    private final int[] validSequences;

    private PackedSteps(Builder builder) {
        pieces = Arrays.copyOf(builder.pieces, builder.pieceValues);
        sequenceEnds = Arrays.copyOf(builder.sequenceEnds, builder.sequences);
        stepEnds = Arrays.copyOf(builder.stepEnds, builder.steps);
        validSequences = Arrays.copyOf(builder.validSequences, builder.steps);
    }

    /** Takes the pieces of a sequence, from left to right. */
    @FunctionalInterface
    interface PieceVisitor {
        /**
         * {@code count} tokens from {@code from} on of the document in row {@code row} of the step, which was planned to have
         * {@code documentLength}.
         */
        void piece(int row, int from, int count, int documentLength);
    }

    int sequences(int step) {
        return stepEnds[step] - begin(step);
    }

    /** How many sequences, from the first on, are no repeats. */
    int validSequences(int step) {
        return validSequences[step];
    }

    private int begin(int step) {
        return step == 0 ? 0 : stepEnds[step - 1];
    }

    void forEachPiece(int step, int sequence, PieceVisitor visitor) {
        int index = begin(step) + sequence;
        int end = sequenceEnds[index];
        for (int at = index == 0 ? 0 : sequenceEnds[index - 1]; at < end; at += WIDTH) {
            visitor.piece(pieces[at], pieces[at + 1], pieces[at + 2], pieces[at + 3]);
        }
    }

    static final class Builder {
        private int[] pieces = new int[WIDTH * 64];
        private int pieceValues;
        private int[] sequenceEnds = new int[16];
        private int sequences;
        private int[] stepEnds = new int[16];
        private int[] validSequences = new int[16];
        private int steps;

        void piece(int row, int from, int count, int documentLength) {
            if (pieceValues + WIDTH > pieces.length) {
                pieces = Arrays.copyOf(pieces, Math.multiplyExact(2, pieces.length));
            }
            pieces[pieceValues] = row;
            pieces[pieceValues + 1] = from;
            pieces[pieceValues + 2] = count;
            pieces[pieceValues + 3] = documentLength;
            pieceValues += WIDTH;
        }

        void endSequence() {
            if (sequences == sequenceEnds.length) {
                sequenceEnds = Arrays.copyOf(sequenceEnds, Math.multiplyExact(2, sequences));
            }
            sequenceEnds[sequences++] = pieceValues;
        }

        void endStep(int valid) {
            if (steps == stepEnds.length) {
                stepEnds = Arrays.copyOf(stepEnds, 2 * steps);
                validSequences = Arrays.copyOf(validSequences, 2 * steps);
            }
            stepEnds[steps] = sequences;
            validSequences[steps++] = valid;
        }

        PackedSteps build() {
            return new PackedSteps(this);
        }
    }
}
