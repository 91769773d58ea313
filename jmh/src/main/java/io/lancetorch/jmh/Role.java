package io.lancetorch.jmh;

/** What an implementation is compared for. */
enum Role {
    /** lancetorch itself. */
    OURS,
    /** Other software that does the same. */
    PEER,
    /** What the libraries below, or the memory, give at best. */
    LIMIT,
    /** A baseline, for the reader. */
    TO_COMPARE
}
