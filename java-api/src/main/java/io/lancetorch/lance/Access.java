package io.lancetorch.lance;

/** How a scan reads batches that are lists of ranges. The rows and their order are the same in each. */
public enum Access {
    /** As suits the ranges of each batch. */
    AUTO,
    /** Range by range, by Lance's fragment readers: for long ranges. */
    STREAM,
    /** The rows of each fragment at once, which are then put in order: for rows scattered over the dataset. */
    TAKE
}
