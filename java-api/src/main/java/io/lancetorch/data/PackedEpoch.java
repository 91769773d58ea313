package io.lancetorch.data;

/** The sequences of an epoch, over all ranks, and the pieces of documents in each. One thread at a time. */
interface PackedEpoch {
    /** Takes the pieces of a sequence, from left to right. */
    @FunctionalInterface
    interface PieceVisitor {
        /** {@code count} tokens of a document, from {@code from} on, its end of text counted as one. */
        void piece(long document, int from, int count);
    }

    long sequences();

    void forEachPiece(long sequence, PieceVisitor visitor);

    /**
     * @param documents in the epoch's order
     * @param lengths tokens of each document, by its position in the dataset
     */
    static PackedEpoch of(Packing packing, RowSequence documents, int[] lengths, PlanRequest request) {
        return packing.splits()
                ? new Concatenation(packing, documents, lengths)
                : new BestFit(packing, documents, lengths, request.seed(), request.epoch());
    }
}
