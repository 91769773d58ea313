package io.lancetorch.error;

import java.util.Arrays;
import java.util.List;

/** A deadline has passed before the other side answered. */
public final class DeadlineException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    private final int[] ranks;
    private final Collective collective;

    public DeadlineException(String message) {
        this(message, null);
    }

    public DeadlineException(String message, Throwable cause) {
        this(message, cause, List.of(), null);
    }

    /** {@code ranks}: see {@link #ranks}; {@code collective}: see {@link #collective}. */
    public DeadlineException(String message, Throwable cause, List<Integer> ranks, Collective collective) {
        super(message, cause);
        this.ranks = ranks.stream().mapToInt(Integer::intValue).toArray();
        this.collective = collective;
    }

    /** The ranks that did not come in time, in the order in which this became known; empty where it is not known. */
    public List<Integer> ranks() {
        return Arrays.stream(ranks).boxed().toList();
    }

    /** What this rank was at; null where that was no collective. */
    public Collective collective() {
        return collective;
    }
}
