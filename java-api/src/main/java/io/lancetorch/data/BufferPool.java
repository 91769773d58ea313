package io.lancetorch.data;

import io.lancetorch.lance.ImageTransform;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** The image memory of a loader, kept from epoch to epoch. Any thread. */
final class BufferPool implements AutoCloseable {
    private final boolean pinned;
    private final int capacity;
    private final int kept;
    private final List<ImageBuffer> free = new ArrayList<>();
    private boolean closed;

    /** {@code capacity}: rows of a buffer at first. {@code kept}: how many to keep that nobody uses. */
    BufferPool(int capacity, boolean pinned, int kept) {
        this.capacity = capacity;
        this.pinned = pinned;
        this.kept = kept;
    }

    synchronized ImageBuffer take(ImageTransform transform) {
        for (Iterator<ImageBuffer> all = free.iterator(); all.hasNext(); ) {
            ImageBuffer buffer = all.next();
            if (buffer.isOf(transform)) {
                all.remove();
                return buffer;
            }
        }
        return new ImageBuffer(transform, capacity, pinned);
    }

    synchronized void give(ImageBuffer buffer) {
        if (closed || free.size() >= kept) {
            buffer.close();
        } else {
            free.add(buffer);
        }
    }

    @Override
    public synchronized void close() {
        closed = true;
        free.forEach(ImageBuffer::close);
        free.clear();
    }
}
