package io.lancetorch.error;

/** A deadline has passed before the other side answered. */
public final class DeadlineException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public DeadlineException(String message) {
        super(message);
    }

    public DeadlineException(String message, Throwable cause) {
        super(message, cause);
    }
}
