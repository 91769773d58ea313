package io.lancetorch.examples;

/** A failure whose message says all that a user of the commands needs. */
final class UserException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UserException(String message) {
        super(message);
    }
}
