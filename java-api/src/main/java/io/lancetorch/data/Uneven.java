package io.lancetorch.data;

/** What a sampler does where the rows cannot be dealt to the ranks evenly. */
public enum Uneven {
    /** Repeat rows, so that every row is read at least once; {@link Batch#validRows} tells the repeats from the rest. */
    PAD,
    /** Leave rows out, so that no row is read twice. */
    DROP,
    /**
     * Give each rank what there is for it, so that ranks differ in the rows of a step, and every row is valid exactly once. A
     * rank that has run out still has each step, as its peers wait for it: up to two rows, which it repeats (batch normalisation
     * refuses a single one), and of which none is {@linkplain Batch#validRows valid}. It takes part with a weight of zero; an
     * average over the ranks divides by the valid rows of all of them.
     */
    JOIN,
    /** Throw an {@link io.lancetorch.error.InvalidArgumentException} that names the ranks and their rows. */
    REFUSE;

    /** Rows of a step of a rank that has run out. */
    static final int IDLE_ROWS = 2;
}
