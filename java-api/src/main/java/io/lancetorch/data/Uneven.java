package io.lancetorch.data;

/** What a sampler does where the rows cannot be dealt to the ranks evenly. */
public enum Uneven {
    /** Repeat rows, so that every row is read at least once; {@link Batch#validRows} tells the repeats from the rest. */
    PAD,
    /** Leave rows out, so that no row is read twice. */
    DROP,
    /** Throw an {@link io.lancetorch.error.InvalidArgumentException} that names the ranks and their rows. */
    REFUSE
}
