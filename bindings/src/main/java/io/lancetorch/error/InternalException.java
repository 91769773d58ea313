package io.lancetorch.error;

/** A fault within lancetorch or a library below it. Please report it. */
public final class InternalException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public InternalException(String message) {
        super(message);
    }

    public InternalException(String message, Throwable cause) {
        super(message, cause);
    }
}
