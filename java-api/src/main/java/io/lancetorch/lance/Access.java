package io.lancetorch.lance;

/** How a scan reads batches that are lists of ranges. The rows and their order are the same in each. */
public enum Access {
    /** As suits the ranges of each batch. */
    AUTO,
    /** Range by range, by Lance's fragment readers: for long ranges. */
    STREAM,
    /** All rows of a batch at once, by Lance's take: for rows scattered over the dataset. */
    TAKE
}
