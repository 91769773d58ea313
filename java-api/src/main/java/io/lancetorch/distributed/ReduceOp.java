package io.lancetorch.distributed;

/** How the ranks' values become one. */
public enum ReduceOp {
    SUM,
    AVERAGE,
    PRODUCT,
    MINIMUM,
    MAXIMUM
}
