package io.lancetorch.error;

/** The call is wrong: a shape, a dtype, a size, a filter or an option that cannot be. Correct it. */
public final class InvalidArgumentException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public InvalidArgumentException(String message) {
        super(message);
    }

    public InvalidArgumentException(String message, Throwable cause) {
        super(message, cause);
    }
}
