package io.lancetorch.error;

/** This build, this device or this data type cannot do that; the message says what can. */
public final class UnsupportedException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public UnsupportedException(String message) {
        super(message);
    }

    public UnsupportedException(String message, Throwable cause) {
        super(message, cause);
    }
}
