package io.lancetorch.error;

/** Bytes that are not what they should be: a file that was cut short, an image that is none, a null where none may be. */
public final class CorruptDataException extends LanceTorchException {
    private static final long serialVersionUID = 1L;

    private final long row;

    /** For data of which no single row is at fault. */
    public CorruptDataException(String message) {
        this(message, -1);
    }

    /** {@code row} counts from 0 within the column or batch that the message names; -1: not known. */
    public CorruptDataException(String message, long row) {
        super(message);
        this.row = row;
    }

    /** The row at fault, counted from 0 within the column or batch that the message names, or -1. */
    public long row() {
        return row;
    }
}
