package io.lancetorch.cookbook;

import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Tensor;

/** Operators that {@link io.lancetorch.tensor.Ops} does not name. */
final class AnyOperator {
    private AnyOperator() {}

    // START SNIPPET: ops
    private static final Op GELU = Op.find("aten::gelu", "");
    private static final Op TOPK = Op.find("aten::topk", "");

    /** aten::gelu(Tensor self, *, str approximate="none") -> Tensor. */
    static Tensor gelu(Tensor x) {
        return GELU.call(x, "tanh");
    }

    /** aten::topk(Tensor self, SymInt k, int dim=-1, ...) -> (Tensor values, Tensor indices). */
    static Tensor largest(Tensor x, int count) {
        Object[] valuesAndIndices = TOPK.callAll(x, count);
        return (Tensor) valuesAndIndices[0];
    }
    // END SNIPPET: ops
}
