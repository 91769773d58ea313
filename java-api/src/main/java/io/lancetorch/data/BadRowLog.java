package io.lancetorch.data;

import java.util.ArrayList;
import java.util.List;

/** The bad rows that a loader has met; all are counted, the first ones listed, column by column. Any thread. */
final class BadRowLog {
    private static final int MAX_LISTED = 10_000;

    private final List<BadRow> rows = new ArrayList<>();
    private long count;

    /** {@code counts}: it was not added for another column of its step before. */
    synchronized void add(BadRow row, boolean counts) {
        count += counts ? 1 : 0;
        if (rows.size() < MAX_LISTED) {
            rows.add(row);
        }
    }

    synchronized long count() {
        return count;
    }

    synchronized List<BadRow> rows() {
        return List.copyOf(rows);
    }
}
