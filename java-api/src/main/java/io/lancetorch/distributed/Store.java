package io.lancetorch.distributed;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.StorageException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * A key-value store that all ranks share: c10d's TCPStore, so that ranks in Python can join it. Any thread. The caller closes
 * it, after the process groups that were made with it.
 */
public final class Store implements AutoCloseable {
    private final String host;
    private MemorySegment handle;

    private Store(String host, MemorySegment out) {
        this.host = host;
        handle = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
    }

    /**
     * Joins the store at {@code host:port}; {@code server}: also serve it, on that port, or on a free one where it is 0.
     *
     * @throws StorageException where the port is in use
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
            Status.check(torch_h.lt_store_prefix(handle(), arena.allocateFrom(prefix), out, error), error);
            return new Store(host, out);
        }
    }

    synchronized MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("this Store is closed");
        }
        return handle;
    }

    /** The host that it is served on, as this rank names it. */
    String host() {
        return host;
    }

    /** The port that it is served on. */
    public int port() {
        return torch_h.lt_store_port(handle());
    }

    /** Sends a value, and does not wait for the server: another rank's {@link #get} waits for it. */
    public void set(String key, byte[] value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment bytes = arena.allocate(Math.max(1, value.length));
            MemorySegment.copy(value, 0, bytes, JAVA_BYTE, 0, value.length);
            Status.check(torch_h.lt_store_set(handle(), arena.allocateFrom(key), bytes, value.length, error), error);
        }
    }

    /**
     * Waits for a key and returns its value.
     *
     * @throws DeadlineException where nobody sets it in time
     */
    public byte[] get(String key, Duration timeout) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment size = arena.allocate(JAVA_LONG);
            MemorySegment name = arena.allocateFrom(key);
            for (long capacity = 4096; ; capacity = size.get(JAVA_LONG, 0)) {
                MemorySegment value = arena.allocate(capacity);
                Status.check(
                        torch_h.lt_store_get(
                                handle(), name, Math.max(1, timeout.toMillis()), value, capacity, size, error),
                        error,
                        "key " + key);
                if (size.get(JAVA_LONG, 0) <= capacity) {
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
            Status.check(torch_h.lt_store_add(handle(), arena.allocateFrom(key), amount, sum, error), error);
            return sum.get(JAVA_LONG, 0);
        }
    }

    /** Whether a key is there; does not wait. */
    public boolean contains(String key) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment found = arena.allocate(JAVA_INT);
            Status.check(torch_h.lt_store_check(handle(), arena.allocateFrom(key), found, error), error);
            return found.get(JAVA_INT, 0) != 0;
        }
    }

    /** Leaves the store; where this rank serves it, ends it. A second close does nothing. */
    @Override
    public synchronized void close() {
        if (handle != null) {
            torch_h.lt_store_release(handle);
            handle = null;
        }
    }
}
