package io.lancetorch.bindings;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import java.util.function.ToIntFunction;

/**
 * A native object that many threads use and one closes: a close waits for calls that are under way, and calls after it are
 * an IllegalStateException.
 */
public final class Handle {
    private final String name;
    private final Consumer<MemorySegment> release;
    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private MemorySegment address;

    /** {@code release} frees what is at {@code address}. */
    public Handle(String name, long address, Consumer<MemorySegment> release) {
        this.name = name;
        this.address = MemorySegment.ofAddress(address);
        this.release = release;
    }

    /** Calls {@code function}; {@link #close} waits for it. */
    public int call(ToIntFunction<MemorySegment> function) {
        lock.readLock().lock();
        try {
            if (address == null) {
                throw new IllegalStateException(name + " is closed");
            }
            return function.applyAsInt(address);
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Calls {@code consumer} where it is open still. */
    public void ifOpen(Consumer<MemorySegment> consumer) {
        lock.readLock().lock();
        try {
            if (address != null) {
                consumer.accept(address);
            }
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Hands the object over to native code, which frees it. */
    public int consume(ToIntFunction<MemorySegment> function) {
        lock.writeLock().lock();
        try {
            if (address == null) {
                throw new IllegalStateException(name + " is closed");
            }
            MemorySegment given = address;
            address = null;
            return function.applyAsInt(given);
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** Frees the object, after the calls that are under way; a second close does nothing. */
    public void close() {
        lock.writeLock().lock();
        try {
            if (address != null) {
                release.accept(address);
                address = null;
            }
        } finally {
            lock.writeLock().unlock();
        }
    }
}
