package io.lancetorch.error;

/** Host or device memory ran out outside the Java heap; smaller batches need less. The process goes on. */
public final class OutOfMemoryException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public OutOfMemoryException(String message) {
        super(message);
    }

    public OutOfMemoryException(String message, Throwable cause) {
        super(message, cause);
    }
}
