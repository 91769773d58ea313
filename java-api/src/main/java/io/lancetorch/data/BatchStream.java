package io.lancetorch.data;

/** The batches of one epoch, in the plan's order. One thread takes them; any thread closes. */
interface BatchStream extends AutoCloseable {
    boolean hasNext();

    /** Waits for the next step. The batch before is let go: its memory is used again, unless somebody still uses it. */
    Batch next();

    /** Over all threads, for the batch that {@link #next} gave last. */
    long decodeNanos();

    /** Bytes of the tensors of the batch that {@link #next} gave last. */
    long bytes();

    /** Steps that are ready, and that nobody has taken. */
    int ready();

    /** Ends it, its threads included, and frees what nobody took. A second close does nothing. */
    @Override
    void close();
}
