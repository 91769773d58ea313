package io.lancetorch.data;

import io.lancetorch.lance.ImageTransform;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Event;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The memory of one batch's decoded images, which batch after batch is decoded into: pixels in channels-last order, and for
 * each row a key and a code. One thread at a time sets it up; many fill it.
 */
final class ImageBuffer implements AutoCloseable {
    private final ImageTransform transform;
    private final boolean pinned;
    private int capacity;
    private Tensor keys;
    private Tensor codes;
    private MemorySegment keyMemory;
    private MemorySegment codeMemory;
    private Tensor pixels;
    private MemorySegment memory;
    private Tensor bytes;
    private MemorySegment byteMemory;
    private Event copied;

    /** {@code capacity}: in rows, at first. {@code pinned}: in page-locked memory. */
    ImageBuffer(ImageTransform transform, int capacity, boolean pinned) {
        this.transform = transform;
        this.pinned = pinned;
        this.capacity = capacity;
    }

    boolean isOf(ImageTransform other) {
        return other == transform;
    }

    /**
     * Makes it ready for the next batch of so many rows; memory that somebody still uses stays his, and other memory takes its
     * place.
     */
    void prepare(int rows) {
        if (copied != null) {
            copied.synchronize();
        }
        if (rows > capacity) {
            freeMemory();
            capacity = rows;
        }
        if (keys == null) {
            keys = TensorScope.detach(Tensor.empty(DType.INT64, capacity));
            keyMemory = keys.data();
        }
        if (codes == null) {
            codes = TensorScope.detach(Tensor.empty(DType.INT32, capacity));
            codeMemory = codes.data();
        }
        // Of copies of page-locked memory that the user has under way, libtorch's allocator alone knows.
        boolean mayBeCopied = pinned && copied == null;
        if (pixels != null && (mayBeCopied || pixels.storageUseCount() > 1)) {
            pixels.close();
            pixels = null;
        }
        if (pixels == null) {
            pixels = TensorScope.detach(Tensor.empty(
                    transform.pixel() == ImageTransform.Pixel.UINT8 ? DType.UINT8 : DType.FLOAT32,
                    Device.CPU,
                    MemoryFormat.CHANNELS_LAST,
                    pinned,
                    capacity,
                    3,
                    transform.height(),
                    transform.width()));
            memory = pixels.data();
        }
    }

    /** What a copy to a device must be through with before the memory is used again. */
    Event copied(Device device) {
        if (copied == null) {
            copied = new Event(device, false);
        }
        return copied;
    }

    /** The first {@code rows} images, as a tensor of its own over this memory. */
    Tensor tensor(int rows) {
        if (rows == capacity) {
            return TensorScope.detach(pixels.detach());
        }
        return TensorScope.detach(Ops.narrow(pixels, 0, 0, rows));
    }

    /** The pixels of some rows. */
    MemorySegment pixels(long first, long count) {
        return memory.asSlice(first * transform.imageBytes(), count * transform.imageBytes());
    }

    /** Room for the same rows as bytes, where the pixels themselves are floats. */
    MemorySegment bytes(long first, long count) {
        long size = 3L * transform.height() * transform.width();
        return byteMemory.asSlice(first * size, count * size);
    }

    void needBytes() {
        if (bytes == null) {
            bytes = TensorScope.detach(
                    Tensor.empty(DType.UINT8, capacity * 3L * transform.height() * transform.width()));
            byteMemory = bytes.data();
        }
    }

    void key(int row, long key) {
        keyMemory.setAtIndex(ValueLayout.JAVA_LONG, row, key);
    }

    MemorySegment keys(long first, long count) {
        return keyMemory.asSlice(8 * first, 8 * count);
    }

    MemorySegment codes(long first, long count) {
        return codeMemory.asSlice(4 * first, 4 * count);
    }

    boolean isBad(int row) {
        return codeMemory.getAtIndex(ValueLayout.JAVA_INT, row) != 0;
    }

    private void freeMemory() {
        for (Tensor tensor : new Tensor[] {keys, codes, pixels, bytes}) {
            if (tensor != null) {
                tensor.close();
            }
        }
        keys = null;
        codes = null;
        pixels = null;
        bytes = null;
    }

    @Override
    public void close() {
        freeMemory();
        if (copied != null) {
            copied.close();
        }
    }
}
