package io.lancetorch.error;

/** A path, a column, a version, a tag, a fragment, an operator or a variable that is not there. */
public final class NotFoundException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public NotFoundException(String message) {
        super(message);
    }

    public NotFoundException(String message, Throwable cause) {
        super(message, cause);
    }
}
