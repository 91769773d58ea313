package io.lancetorch.error;

/** What every failure of lancetorch is. Each subclass stands for one thing that a caller can do about it. */
public abstract sealed class LanceTorchException extends RuntimeException
        permits CancelledException,
                CorruptDataException,
                DeadlineException,
                InternalException,
                InvalidArgumentException,
                NotFoundException,
                OutOfMemoryException,
                PeerFailedException,
                StorageException,
                UnsupportedException {
    private static final long serialVersionUID = 1L;

    LanceTorchException(String message) {
        super(message);
    }

    LanceTorchException(String message, Throwable cause) {
        super(message, cause);
    }
}
