package io.lancetorch.data;

import java.util.ArrayList;
import java.util.List;

/** The bad rows that a loader has met; all are counted, the first ones listed. Any thread. */
final class BadRowLog {
    private static final int MAX_LISTED = 10_000;

    private final List<BadRow> rows = new ArrayList<>();
    private long count;

    synchronized void add(BadRow row) {
        count++;
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
