package io.lancetorch.lance;

/** Rows {@code begin} to {@code end} - 1 of a fragment, counted over its rows that are not deleted. */
public record RowRange(long fragmentId, long begin, long end) {
    /** How many rows. */
    public long rows() {
        return end - begin;
    }
}
