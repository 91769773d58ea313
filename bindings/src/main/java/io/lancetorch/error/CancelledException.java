package io.lancetorch.error;

/** The caller asked for the end of what was under way, by closing it or by interrupting the thread. */
public final class CancelledException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public CancelledException(String message) {
        super(message);
    }

    public CancelledException(String message, Throwable cause) {
        super(message, cause);
    }
}
