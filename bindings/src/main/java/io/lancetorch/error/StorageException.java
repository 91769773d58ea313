package io.lancetorch.error;

/** The disk, the network or the object store failed; the same call may work again. */
public final class StorageException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public StorageException(String message) {
        super(message);
    }

    public StorageException(String message, Throwable cause) {
        super(message, cause);
    }
}
