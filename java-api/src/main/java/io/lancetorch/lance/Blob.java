package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Handle;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.StorageException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * The bytes of one row of a blob column, which stay where they are until they are asked for. Any thread may read, many at
 * once. The caller closes it; it needs neither its dataset nor other blobs.
 */
public final class Blob implements AutoCloseable {
    /** What an InputStream reads ahead: large enough for an object store, small beside what blobs are for. */
    private static final int BLOCK = 1 << 20;

    private final Handle handle;
    private final long size;

    Blob(String name, long address) {
        handle = new Handle(name, address, lance_h::lt_blob_close);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(handle.call(blob -> lance_h.lt_blob_size(blob, out, error)), error);
            size = out.get(JAVA_LONG, 0);
        } catch (RuntimeException e) {
            handle.close();
            throw e;
        }
    }

    /** Its bytes. */
    public long size() {
        return size;
    }

    /**
     * Reads from {@code offset} on into native memory, and returns how many bytes: fewer than {@code target} holds only at the
     * blob's end, 0 from there on.
     *
     * @throws StorageException where the storage fails
     */
    public long read(long offset, MemorySegment target) {
        requireOffset(offset);
        if (!target.isNative() || target.isReadOnly()) {
            throw new InvalidArgumentException(
                    "a blob is read into native memory that may be written, or into a byte[]");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment count = arena.allocate(JAVA_LONG);
            Status.check(
                    handle.call(blob -> lance_h.lt_blob_read(blob, offset, target, target.byteSize(), count, error)),
                    error);
            return count.get(JAVA_LONG, 0);
        }
    }

    /** As {@link #read(long, MemorySegment)}, into an array of the Java heap, by way of native memory. */
    public int read(long offset, byte[] target) {
        requireOffset(offset);
        int room = (int) Math.min(target.length, Math.max(0, size - offset));
        if (room == 0) {
            return 0;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(Math.min(room, BLOCK));
            int done = 0;
            while (done < room) {
                MemorySegment part = block.asSlice(0, Math.min(block.byteSize(), room - done));
                int count = (int) read(offset + done, part);
                MemorySegment.copy(part, JAVA_BYTE, 0, target, done, count);
                done += count;
            }
            return done;
        }
    }

    private void requireOffset(long offset) {
        if (offset < 0) {
            throw new InvalidArgumentException("offset " + offset + " of a blob");
        }
    }

    /**
     * A stream of all of its bytes, which reads up to 1 MiB ahead, for one thread; there may be many at once. Closing it does
     * not close the blob. What the storage does not give is an IOException, whose cause is ours.
     */
    public InputStream newInputStream() {
        return new Stream();
    }

    private final class Stream extends InputStream {
        private MemorySegment block;
        /** Where in the blob the block begins, and where in the block the next byte and its end are. */
        private long begin;

        private int at;
        private int end;
        private boolean closed;

        /** Whether there is a byte at {@code at}; reads on where that is needed. */
        private boolean fill() throws IOException {
            if (closed) {
                throw new IOException("the stream of a blob is closed");
            }
            if (at < end) {
                return true;
            }
            begin += end;
            at = 0;
            end = 0;
            if (begin >= size) {
                return false;
            }
            if (block == null) {
                block = Arena.ofAuto().allocate(Math.min(size, BLOCK));
            }
            try {
                end = (int) Blob.this.read(begin, block);
            } catch (LanceTorchException | IllegalStateException e) {
                throw new IOException(e.getMessage(), e);
            }
            return end > 0;
        }

        @Override
        public int read() throws IOException {
            return fill() ? block.get(JAVA_BYTE, at++) & 0xff : -1;
        }

        @Override
        public int read(byte[] target, int offset, int length) throws IOException {
            Objects.checkFromIndexSize(offset, length, target.length);
            if (length == 0) {
                return 0;
            }
            if (!fill()) {
                return -1;
            }
            int count = Math.min(length, end - at);
            MemorySegment.copy(block, JAVA_BYTE, at, target, offset, count);
            at += count;
            return count;
        }

        @Override
        public long skip(long count) {
            long position = begin + at;
            long skipped = Math.min(Math.max(0, count), size - position);
            if (skipped <= end - at) {
                at += (int) skipped;
            } else {
                begin = position + skipped;
                at = 0;
                end = 0;
            }
            return skipped;
        }

        @Override
        public int available() {
            return end - at;
        }

        @Override
        public void close() {
            closed = true;
            block = null;
        }
    }

    /** Frees it, after reads that are under way; a second close does nothing. */
    @Override
    public void close() {
        handle.close();
    }
}
