package io.lancetorch.data;

/** Where the rows of an epoch's steps come from. One thread reads; any thread may cancel. */
interface StepSource extends AutoCloseable {
    /** Waits for the rows of a step; steps are asked for in order. The caller closes them. */
    StepRecords read(int step);

    /** Ends a {@link #read} that waits, and every later one, with a CancelledException. */
    void cancel();

    @Override
    void close();
}
