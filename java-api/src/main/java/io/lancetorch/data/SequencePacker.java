package io.lancetorch.data;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Makes the tensors of packed sequences: {@link #begin}, then {@link #run} for some sequences, by any threads. */
final class SequencePacker {
    private static final int TOKENS = 0;
    private static final int POSITIONS = 1;
    private static final int SEGMENTS = 2;
    private static final int ENDS = 3;

    private final String column;
    private final Packing packing;
    private final TensorPool pool;
    private final String[] names;
    private final MemorySegment counting;

    SequencePacker(String column, Packing packing, TensorPool pool) {
        this.column = column;
        this.packing = packing;
        this.pool = pool;
        names = new String[] {column, column + "_position", column + "_segment", column + "_cu_seqlens"};
        counting = Arena.ofAuto().allocate(JAVA_LONG, packing.length());
        for (int i = 0; i < packing.length(); i++) {
            counting.setAtIndex(JAVA_LONG, i, i);
        }
    }

    /** Makes room for the sequences of the slot's step, whose rows they become. */
    void begin(StepSlot slot, PackedSteps steps) {
        int rows = steps.sequences(slot.step);
        slot.rows = rows;
        slot.names = names;
        slot.tensors = new Tensor[names.length];
        slot.tensors[TOKENS] = TensorScope.detach(pool.take(DType.INT64, rows, packing.length()));
        slot.tensors[POSITIONS] = TensorScope.detach(pool.take(DType.INT64, rows, packing.length()));
        slot.tensors[SEGMENTS] = TensorScope.detach(pool.take(DType.INT32, rows, packing.length()));
        slot.tensors[ENDS] = TensorScope.detach(Tensor.of(ends(steps, slot.step, rows)));
    }

    /** Where each piece begins in all of the step's tokens, and where the last one ends; padding is a piece of its own. */
    private int[] ends(PackedSteps steps, int step, int rows) {
        int[][] ends = {new int[rows + 16]};
        int[] count = {1};
        for (int sequence = 0; sequence < rows; sequence++) {
            int end = Math.multiplyExact(sequence + 1, packing.length());
            int[] at = {end - packing.length()};
            steps.forEachPiece(step, sequence, (row, from, tokens, length) -> {
                at[0] += tokens;
                append(ends, count, at[0]);
            });
            if (at[0] < end) {
                append(ends, count, end);
            }
        }
        return Arrays.copyOf(ends[0], count[0]);
    }

    private static void append(int[][] values, int[] count, int value) {
        if (count[0] == values[0].length) {
            values[0] = Arrays.copyOf(values[0], 2 * count[0]);
        }
        values[0][count[0]++] = value;
    }

    /** Fills {@code count} sequences from {@code first} on. */
    void run(StepSlot slot, PackedSteps steps, int first, int count) {
        var reader = new TokenReader(slot.records.column(column));
        MemorySegment tokens = slot.tensors[TOKENS].data();
        MemorySegment positions = slot.tensors[POSITIONS].data();
        MemorySegment segments = slot.tensors[SEGMENTS].data();
        for (int sequence = first; sequence < first + count; sequence++) {
            long end = (sequence + 1L) * packing.length();
            var filler = new Filler(reader, tokens, positions, segments, end - packing.length());
            steps.forEachPiece(slot.step, sequence, filler);
            long left = end - filler.at;
            TokenReader.fill(tokens, filler.at, left, packing.padValue());
            TokenReader.fill(positions, filler.at, left, 0);
            segments.asSlice(4 * filler.at, 4 * left).fill((byte) 0);
        }
    }

    private final class Filler implements PackedSteps.PieceVisitor {
        private final TokenReader reader;
        private final MemorySegment tokens;
        private final MemorySegment positions;
        private final MemorySegment segments;
        private long at;
        private int segment;

        Filler(TokenReader reader, MemorySegment tokens, MemorySegment positions, MemorySegment segments, long at) {
            this.reader = reader;
            this.tokens = tokens;
            this.positions = positions;
            this.segments = segments;
            this.at = at;
        }

        @Override
        public void piece(int row, int from, int count, int documentLength) {
            long length = reader.length(row);
            if (length != documentLength) {
                throw new CorruptDataException(
                        "row " + row + " of column " + column + " has " + length + " tokens, but column "
                                + packing.lengthColumn() + " says " + documentLength,
                        row);
            }
            int own = (int) Math.min(count, length - from);
            reader.copy(row, from, own, tokens, at);
            if (own < count) {
                tokens.setAtIndex(JAVA_LONG, at + own, packing.endOfText());
            }
            MemorySegment.copy(counting, 0, positions, 8 * at, 8L * count);
            segment++;
            for (long i = at; i < at + count; i++) {
                segments.setAtIndex(JAVA_INT, i, segment);
            }
            at += count;
        }
    }
}
