package io.lancetorch.error;

/** Another rank is gone or broke off, so this rank's collectives cannot be completed. */
public final class PeerFailedException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    public PeerFailedException(String message) {
        super(message);
    }

    public PeerFailedException(String message, Throwable cause) {
        super(message, cause);
    }
}
