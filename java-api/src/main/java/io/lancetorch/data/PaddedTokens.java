package io.lancetorch.data;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.lance.Column;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** The lists of integers of a column, each in a row of its own: cut to a length, or filled up to it. */
record PaddedTokens(int length, long padValue, TensorPool pool) implements ColumnFunction {
    static String lengthsName(String column) {
        return column + "_length";
    }

    @Override
    public Tensor apply(Column column) {
        var reader = new TokenReader(column);
        Tensor tokens = pool.take(DType.INT64, column.length(), length);
        MemorySegment target = tokens.data();
        for (long row = 0; row < column.length(); row++) {
            int count = (int) Math.min(length, reader.length(row));
            reader.copy(row, 0, count, target, row * length);
            TokenReader.fill(target, row * length + count, length - count, padValue);
        }
        return tokens;
    }

    /** How many tokens of each row are not padding. */
    Tensor lengths(Column column) {
        var reader = new TokenReader(column);
        Tensor lengths = Tensor.empty(DType.INT64, column.length());
        MemorySegment target = lengths.data();
        for (long row = 0; row < column.length(); row++) {
            target.setAtIndex(JAVA_LONG, row, Math.min(length, reader.length(row)));
        }
        return lengths;
    }
}
