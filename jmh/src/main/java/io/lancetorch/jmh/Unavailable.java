package io.lancetorch.jmh;

/** An implementation cannot be measured on this machine; the message says why, and the other ones go on. */
final class Unavailable extends Exception {
    private static final long serialVersionUID = 1L;

    Unavailable(String reason) {
        super(reason);
    }
}
