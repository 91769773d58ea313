package io.lancetorch.spark;

/**
 * A rank, or what writes a part of a dataset, has failed at the last attempt too; the message names it, its host and its reason.
 */
public final class RankFailedException extends RuntimeException {
    private static final long serialVersionUID = 1;

    RankFailedException(String message) {
        super(message);
    }

    RankFailedException(String message, Throwable cause) {
        super(message, cause);
    }

    /**
     * The reason in what Spark tells of the failed stage, whose first failed task is the one that failed by itself; where there is
     * none of ours in it, {@code failure} itself, also where it is checked.
     */
    static RuntimeException orElse(Exception failure) {
        String text = String.valueOf(failure.getMessage());
        String name = RankFailedException.class.getName() + ": ";
        int start = text.indexOf(name);
        if (start < 0) {
            return RankFailedException.<RuntimeException>undeclared(failure);
        }
        int end = text.indexOf("\n\tat ", start);
        return new RankFailedException(text.substring(start + name.length(), end < 0 ? text.length() : end), failure);
    }

    /** As Spark does it: never returns. */
    @SuppressWarnings("unchecked")
    private static <E extends Exception> RuntimeException undeclared(Exception failure) throws E {
        throw (E) failure;
    }
}
