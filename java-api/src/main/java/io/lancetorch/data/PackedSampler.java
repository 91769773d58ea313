package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.RowRange;

/**
 * Packs the documents of an epoch into sequences, over all ranks, and deals these as {@link BatchSampler} does: what is consumed
 * is counted in sequences, and their order is the same in any world and by any batch size.
 *
 * @param lengths tokens of each document, by its position among the request's rows
 */
record PackedSampler(RowSampler documents, Uneven uneven, Packing packing, int[] lengths) implements Sampler {
    /** The order in which {@code sampler} would give rows, for documents. */
    static PackedSampler of(Sampler sampler, Packing packing, int[] lengths) {
        return switch (sampler) {
            case BatchSampler(var rows, var uneven) -> new PackedSampler(rows, uneven, packing, lengths);
            case RowSampler rows -> new PackedSampler(rows, Uneven.PAD, packing, lengths);
            default ->
                throw new InvalidArgumentException(sampler + " deals rows to ranks by itself; documents are packed in"
                        + " the order of a row sampler, such as RandomSampler or SequentialSampler, or of a"
                        + " BatchSampler over one");
        };
    }

    @Override
    public Plan plan(PlanRequest request) {
        PackedEpoch epoch = PackedEpoch.of(packing, documents.rows(request), lengths, request);
        EpochOrder order = EpochOrder.of(request, epoch.sequences());
        Plan dealt = BatchDeal.plan(request, order, uneven, (begin, end, plan) -> plan.add(0, begin, end));
        var documentRows = new DocumentRows(new RowPositions(request.fragments()), order);
        for (int step = 0; step < dealt.steps(); step++) {
            for (RowRange range : dealt.ranges(step)) {
                for (long sequence = range.begin(); sequence < range.end(); sequence++) {
                    epoch.forEachPiece(sequence, documentRows);
                    documentRows.packed.endSequence();
                }
            }
            documentRows.endStep(dealt.validRows(step));
        }
        return documentRows.plan.packed(documentRows.packed.build()).build();
    }

    /** Puts the documents of each step together; one that goes on in the next sequence is read once. */
    private final class DocumentRows implements PackedEpoch.PieceVisitor {
        private final RowPositions positions;
        private final Plan.Builder plan;
        private final PackedSteps.Builder packed = new PackedSteps.Builder();
        private long last = -1;
        private int row = -1;

        DocumentRows(RowPositions positions, EpochOrder order) {
            this.positions = positions;
            plan = new Plan.Builder().order(order);
        }

        @Override
        public void piece(long document, int from, int count) {
            if (document != last) {
                positions.add(document, document + 1, plan);
                last = document;
                row++;
            }
            packed.piece(row, from, count, lengths[(int) document]);
        }

        void endStep(int valid) {
            plan.endStep(plan.openRows());
            packed.endStep(valid);
            last = -1;
            row = -1;
        }
    }

    @Override
    public String toString() {
        return "PackedSampler[" + documents + ", " + uneven + ", " + packing + "]";
    }
}
