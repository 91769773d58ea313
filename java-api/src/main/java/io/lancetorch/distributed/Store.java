package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Handle;
import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.StorageException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * A key-value store that all ranks share: c10d's TCPStore, so that ranks in Python can join it. Any thread, also while another
 * one closes it. The caller closes it, after the process groups that were made with it.
 */
public final class Store implements AutoCloseable {
    /** A thread in native code sees neither an interrupt nor a close; so often it looks. */
    private static final long INTERRUPT_MILLIS = 50;

    private final String host;
    private final Handle handle;

    private Store(String host, MemorySegment out) {
        this.host = host;
        handle = new Handle("this Store", out.get(JAVA_LONG, 0), torch_h::lt_store_release);
    }

    /**
     * Joins the store at {@code host:port}; {@code server}: also serve it, on that port, or on a free one where it is 0. Where
     * {@code host} is an address, or localhost, it is served on that one alone; on another name, on all of the machine's.
     *
     * @throws StorageException where the port is in use, or the address is not this machine's
     * @throws DeadlineException where nobody serves it in time
     */
    public static Store tcp(String host, int port, boolean server, int worldSize, Duration timeout) {
        NativeLibraries.torch();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = arena.allocate(ADDRESS);
            Status.check(
                    torch_h.lt_store_tcp(
                            arena.allocateFrom(host),
                            port,
                            worldSize,
                            server ? 1 : 0,
                            0,
                            Math.max(1, timeout.toMillis()),
                            out,
                            error),
                    error,
                    "the store at " + host + ":" + port);
            return new Store(host, out);
        }
    }

    /** The same store with {@code prefix} before each key. The caller closes it too. */
    public Store withPrefix(String prefix) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = arena.allocate(ADDRESS);
            MemorySegment text = arena.allocateFrom(prefix);
            Status.check(handle.call(store -> torch_h.lt_store_prefix(store, text, out, error)), error);
            return new Store(host, out);
        }
    }

    Handle handle() {
        return handle;
    }

    /** The host that it is served on, as this rank names it. */
    String host() {
        return host;
    }

    /** The port that it is served on. */
    public int port() {
        return handle.call(torch_h::lt_store_port);
    }

    /** Sends a value, and does not wait for the server: another rank's {@link #get} waits for it. */
    public void set(String key, byte[] value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment bytes = arena.allocate(Math.max(1, value.length));
            MemorySegment.copy(value, 0, bytes, JAVA_BYTE, 0, value.length);
            MemorySegment name = arena.allocateFrom(key);
            Status.check(handle.call(store -> torch_h.lt_store_set(store, name, bytes, value.length, error)), error);
        }
    }

    /**
     * Waits for a key and returns its value.
     *
     * @throws DeadlineException where nobody sets it in time
     * @throws CancelledException where the thread is interrupted while it waits; the interrupt stays set
     */
    public byte[] get(String key, Duration timeout) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment size = arena.allocate(JAVA_LONG);
            MemorySegment name = arena.allocateFrom(key);
            long deadline = System.nanoTime() + timeout.toNanos();
            for (long capacity = 4096; ; capacity = size.get(JAVA_LONG, 0)) {
                long room = capacity;
                MemorySegment value = arena.allocate(room);
                int status;
                long left;
                do {
                    left = Math.ceilDiv(deadline - System.nanoTime(), 1_000_000L);
                    long wait = Math.clamp(left, 1, INTERRUPT_MILLIS);
                    status = handle.call(store -> torch_h.lt_store_get(store, name, wait, value, room, size, error));
                    if (status == torch_h.LT_TIMEOUT() && Thread.currentThread().isInterrupted()) {
                        throw new CancelledException("interrupted while waiting for key " + key, null);
                    }
                } while (status == torch_h.LT_TIMEOUT() && left > INTERRUPT_MILLIS);
                if (status == torch_h.LT_TIMEOUT()) {
                    throw new DeadlineException("the key " + key + " of the store at " + host + " was not set within "
                            + timeout.toMillis() + " ms");
                }
                Status.check(status, error, "key " + key);
                if (size.get(JAVA_LONG, 0) <= room) {
                    return value.asSlice(0, size.get(JAVA_LONG, 0)).toArray(JAVA_BYTE);
                }
            }
        }
    }

    /** Adds to a counter, which starts at 0, and returns the sum. */
    public long add(String key, long amount) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment sum = arena.allocate(JAVA_LONG);
            MemorySegment name = arena.allocateFrom(key);
            Status.check(handle.call(store -> torch_h.lt_store_add(store, name, amount, sum, error)), error);
            return sum.get(JAVA_LONG, 0);
        }
    }

    /** Whether a key is there; does not wait. */
    public boolean contains(String key) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment found = arena.allocate(JAVA_INT);
            MemorySegment name = arena.allocateFrom(key);
            Status.check(handle.call(store -> torch_h.lt_store_check(store, name, found, error)), error);
            return found.get(JAVA_INT, 0) != 0;
        }
    }

    /** Leaves the store, and ends the waits of other threads; where this rank serves it, ends it. A second close does nothing. */
    @Override
    public void close() {
        handle.close();
    }
}
