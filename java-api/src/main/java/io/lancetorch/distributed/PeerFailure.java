package io.lancetorch.distributed;

import io.lancetorch.error.Collective;

/**
 * What a rank has become, as the others know it.
 *
 * @param at the last collective that it began, as far as it told
 * @param reason of {@link Kind#FAILED}: what it threw
 */
record PeerFailure(int rank, Kind kind, Collective at, String reason) {
    enum Kind {
        /** Its connection ended without a word. */
        GONE,
        /** It said why. */
        FAILED,
        /** It closed its group. */
        LEFT,
        /** It does not answer. */
        STALLED,
        /** It answers, and has not begun the collective in which others wait. */
        LATE
    }

    /** Whether a rank in the collective number {@code sequence} waits in vain. */
    boolean breaks(long sequence) {
        return kind != Kind.LEFT || at.sequence() < sequence;
    }

    /** Whether the rank takes part no more, and is not just late. */
    boolean isEnd() {
        return kind == Kind.GONE || kind == Kind.FAILED || kind == Kind.LEFT;
    }

    @Override
    public String toString() {
        String name = "rank " + rank;
        return switch (kind) {
            case GONE -> name + " is gone: its process or its connection ended without a word";
            case FAILED -> name + " failed: " + reason;
            case LEFT -> name + " has left the group" + (at.sequence() == 0 ? "" : " after " + at);
            case STALLED -> name + " does not answer: its process is stopped, or its machine hangs";
            case LATE ->
                name + " has not come: "
                        + (at.sequence() == 0 ? "it has begun no collective yet" : "the last that it began is " + at);
        };
    }
}
