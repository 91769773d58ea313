package io.lancetorch.bindings;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.lancetorch.bindings.torch.lt_error;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InternalException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.OutOfMemoryException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;

/** The one place where a native status becomes a Java exception. */
public final class Status {
    /** Bytes of an {@code lt_error}. */
    public static final long ERROR_SIZE = lt_error.sizeof();

    private static final long DETAIL_OFFSET = 4;
    private static final long MESSAGE_OFFSET = 8;

    private Status() {}

    /** Throws what {@code status} stands for, with the message in {@code error}; returns where it is 0. */
    public static void check(int status, MemorySegment error) {
        if (status != 0) {
            throw exception(status, error, "");
        }
    }

    /** As {@link #check(int, MemorySegment)}, with {@code context} before the message. */
    public static void check(int status, MemorySegment error, String context) {
        if (status != 0) {
            throw exception(status, error, context + ": ");
        }
    }

    private static LanceTorchException exception(int status, MemorySegment error, String prefix) {
        String message = prefix + error.getString(MESSAGE_OFFSET);
        int detail = error.get(JAVA_INT, DETAIL_OFFSET);
        return switch (status) {
            case 1 -> new InvalidArgumentException(message);
            case 2 -> new NotFoundException(message);
            case 3 -> new StorageException(message);
            case 4 -> new CorruptDataException(message, detail);
            case 5 -> new OutOfMemoryException(message);
            case 6 -> new DeadlineException(message);
            case 7 -> new PeerFailedException(message);
            case 8 -> new CancelledException(message);
            case 9 -> new UnsupportedException(message);
            case 10 -> new InternalException(message);
            default -> new InternalException("status " + status + ": " + message);
        };
    }
}
