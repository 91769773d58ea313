package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.torch.lt_tensor_info;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.OutOfMemoryException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * A libtorch tensor. It belongs to the innermost {@link TensorScope} that was open on the thread that made it, or, where
 * none was, to the caller, who closes it. Use after that is an {@link IllegalStateException}.
 *
 * <p>Tensors that a loader made may alias the memory of a dataset's column: read those, and {@code Ops.clone} them before
 * any work in place. One tensor may be read by many threads at once, and closed when none of them uses it any more.
 */
public final class Tensor implements AutoCloseable {
    private long handle;
    private final String origin;
    TensorScope scope;
    int slot;

    Tensor(long handle, String origin, Native frame) {
        this.handle = handle;
        this.origin = origin;
        scope = frame.scope;
        if (scope != null) {
            scope.add(this);
        }
    }

    // ---- making ----

    /** An uninitialised tensor. */
    public static Tensor empty(DType dtype, long... shape) {
        return empty(dtype, Device.CPU, MemoryFormat.CONTIGUOUS, false, shape);
    }

    /**
     * An uninitialised tensor; {@code pinned} for page-locked host memory, from which copies to a device run on their own.
     *
     * @throws InvalidArgumentException for a negative size, or channels-last without 4 dimensions
     * @throws OutOfMemoryException where the device has not that much
     */
    public static Tensor empty(DType dtype, Device device, MemoryFormat format, boolean pinned, long... shape) {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_empty(
                shape(frame, shape),
                shape.length,
                dtype.code(),
                frame.device(device),
                format.code(),
                pinned ? 1 : 0,
                frame.out,
                frame.error));
        return frame.outTensor("Tensor.empty");
    }

    /** A float32 tensor with a copy of {@code values}, in row-major order. */
    public static Tensor of(float[] values, long... shape) {
        return filled(DType.FLOAT32, MemorySegment.ofArray(values), values.length, shape);
    }

    /** A float64 tensor with a copy of {@code values}. */
    public static Tensor of(double[] values, long... shape) {
        return filled(DType.FLOAT64, MemorySegment.ofArray(values), values.length, shape);
    }

    /** An int64 tensor with a copy of {@code values}. */
    public static Tensor of(long[] values, long... shape) {
        return filled(DType.INT64, MemorySegment.ofArray(values), values.length, shape);
    }

    /** An int32 tensor with a copy of {@code values}. */
    public static Tensor of(int[] values, long... shape) {
        return filled(DType.INT32, MemorySegment.ofArray(values), values.length, shape);
    }

    /** A uint8 tensor with a copy of {@code values}. */
    public static Tensor of(byte[] values, long... shape) {
        return filled(DType.UINT8, MemorySegment.ofArray(values), values.length, shape);
    }

    private static Tensor filled(DType dtype, MemorySegment values, int count, long[] shape) {
        long[] sizes = shape.length == 0 ? new long[] {count} : shape;
        long expected = 1;
        for (long size : sizes) {
            if (size < 0 || size > 0 && expected > Long.MAX_VALUE / size) {
                throw new InvalidArgumentException("shape " + Arrays.toString(sizes) + " cannot be");
            }
            expected *= size;
        }
        if (expected != count) {
            throw new InvalidArgumentException(
                    count + " values do not fill shape " + Arrays.toString(sizes) + " of " + expected + " elements");
        }
        Tensor tensor = empty(dtype, sizes);
        if (count > 0) {
            MemorySegment.copy(values, 0, tensor.data(), 0, values.byteSize());
        }
        return tensor;
    }

    /**
     * A CPU tensor over {@code address}, without a copy. {@code deleter}, the address of a C function, runs with
     * {@code context} exactly once when the last alias of the memory is gone, on whichever thread lets it go; where this
     * method throws, it has not run. {@code strides}, in elements, may be null for a dense tensor. The memory must be
     * aligned for {@code dtype}, and lie within this process: neither can be checked here.
     *
     * @throws InvalidArgumentException for sizes that cannot be, or a misaligned address
     */
    public static Tensor fromMemory(
            MemorySegment address,
            DType dtype,
            long[] shape,
            long[] strides,
            MemorySegment deleter,
            MemorySegment context) {
        Native frame = Native.get();
        if (shape.length > Native.MAX_DIMENSIONS || strides != null && strides.length != shape.length) {
            throw new InvalidArgumentException("shape " + Arrays.toString(shape) + " with strides "
                    + Arrays.toString(strides) + ": as many of one as of the other, and at most "
                    + Native.MAX_DIMENSIONS);
        }
        MemorySegment sizes = frame.handles(2L * Native.MAX_DIMENSIONS);
        MemorySegment.copy(shape, 0, sizes, JAVA_LONG, 0, shape.length);
        MemorySegment steps = MemorySegment.NULL;
        if (strides != null) {
            steps = sizes.asSlice(8L * Native.MAX_DIMENSIONS);
            MemorySegment.copy(strides, 0, steps, JAVA_LONG, 0, strides.length);
        }
        frame.check(torch_h.lt_tensor_from_memory(
                address, sizes, steps, shape.length, dtype.code(), deleter, context, frame.out, frame.error));
        return frame.outTensor("Tensor.fromMemory");
    }

    /** Takes over an {@code lt_tensor*} of {@code lancetorch/torch.h} that other native code made, and releases it at its end. */
    public static Tensor fromHandle(MemorySegment handle) {
        if (handle.address() == 0) {
            throw new InvalidArgumentException("an lt_tensor* that is NULL");
        }
        return new Tensor(handle.address(), "Tensor.fromHandle", Native.get());
    }

    private static MemorySegment shape(Native frame, long[] shape) {
        if (shape.length > Native.MAX_DIMENSIONS) {
            throw new InvalidArgumentException(
                    shape.length + " dimensions; a tensor has at most " + Native.MAX_DIMENSIONS);
        }
        MemorySegment segment = frame.handles(Native.MAX_DIMENSIONS);
        MemorySegment.copy(shape, 0, segment, JAVA_LONG, 0, shape.length);
        return segment;
    }

    // ---- what it is ----

    long handle() {
        if (handle == 0) {
            throw new IllegalStateException("the tensor that " + origin
                    + " made is closed: its scope has ended, or close was called; TensorScope.detach or moveToOuter lets"
                    + " a tensor out of its scope");
        }
        return handle;
    }

    /** The {@code lt_tensor*} of {@code lancetorch/torch.h}, for other native code; borrowed until this tensor's end. */
    public MemorySegment nativeHandle() {
        return pointer();
    }

    MemorySegment pointer() {
        return MemorySegment.ofAddress(handle());
    }

    /** Gives up the handle, for a scope that is about to release it. */
    long forget() {
        long given = handle;
        handle = 0;
        scope = null;
        return given;
    }

    private MemorySegment info(Native frame) {
        frame.check(torch_h.lt_tensor_info_get(pointer(), frame.info, frame.error));
        return frame.info;
    }

    public DType dtype() {
        return DType.of(lt_tensor_info.dtype(info(Native.get())));
    }

    public Device device() {
        MemorySegment device = lt_tensor_info.device(info(Native.get()));
        return Device.of(device.get(JAVA_INT, 0), device.get(JAVA_INT, 4));
    }

    /** The size of each dimension. */
    public long[] shape() {
        return sizes(true);
    }

    /** Elements from one index to the next, for each dimension. */
    public long[] strides() {
        return sizes(false);
    }

    private long[] sizes(boolean shape) {
        MemorySegment info = info(Native.get());
        int dimensions = lt_tensor_info.dimensions(info);
        MemorySegment array = shape ? lt_tensor_info.shape(info) : lt_tensor_info.strides(info);
        return array.reinterpret(8L * dimensions).toArray(JAVA_LONG);
    }

    /** The size of one dimension; negative ones count from the last. */
    public long size(int dimension) {
        long[] shape = shape();
        int index = dimension < 0 ? dimension + shape.length : dimension;
        if (index < 0 || index >= shape.length) {
            throw new InvalidArgumentException(
                    "dimension " + dimension + " of a tensor of shape " + Arrays.toString(shape));
        }
        return shape[index];
    }

    /** The number of elements. */
    public long count() {
        return lt_tensor_info.element_count(info(Native.get()));
    }

    /** The address of the first element in the device's memory. */
    public long dataPointer() {
        return lt_tensor_info.data(info(Native.get())).address();
    }

    /**
     * The memory of a dense CPU tensor, without a copy. It must not be touched after the tensor's end, which is not checked.
     *
     * @throws InvalidArgumentException for a tensor on another device, or one that is not dense
     */
    public MemorySegment data() {
        MemorySegment info = info(Native.get());
        if (lt_tensor_info.device(info).get(JAVA_INT, 0) != 0) {
            throw new InvalidArgumentException("the tensor that " + origin + " made is on " + device()
                    + ": only the CPU's memory can be seen from here; copy it with to(Device.CPU)");
        }
        long bytes = lt_tensor_info.element_count(info) * lt_tensor_info.element_size(info);
        MemorySegment data = lt_tensor_info.data(info);
        if (bytes > 0 && !isDense(info)) {
            throw new InvalidArgumentException("the tensor that " + origin + " made, of shape "
                    + Arrays.toString(shape()) + " and strides " + Arrays.toString(strides())
                    + ", is not dense: take Ops.contiguous of it");
        }
        return data.reinterpret(bytes);
    }

    private static boolean isDense(MemorySegment info) {
        int dimensions = lt_tensor_info.dimensions(info);
        long[] shape = lt_tensor_info.shape(info).reinterpret(8L * dimensions).toArray(JAVA_LONG);
        long[] strides =
                lt_tensor_info.strides(info).reinterpret(8L * dimensions).toArray(JAVA_LONG);
        // Dense: from the smallest stride up, each is the product of the sizes below it.
        Integer[] byStride = new Integer[dimensions];
        for (int i = 0; i < dimensions; i++) {
            byStride[i] = i;
        }
        Arrays.sort(byStride, (a, b) -> Long.compare(strides[a], strides[b]));
        long span = 1;
        for (int i : byStride) {
            if (shape[i] != 1) {
                if (strides[i] != span) {
                    return false;
                }
                span *= shape[i];
            }
        }
        return true;
    }

    /** How many tensors share this one's memory. */
    public long storageUseCount() {
        return torch_h.lt_tensor_storage_use_count(pointer());
    }

    // ---- values ----

    /** The value of a tensor of one element. Waits for its device. */
    public double item() {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_item(pointer(), frame.out, frame.error));
        return frame.out.get(JAVA_DOUBLE, 0);
    }

    /** As {@link #item}, exact for integers. */
    public long itemLong() {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_item_int(pointer(), frame.out, frame.error));
        return frame.out.get(JAVA_LONG, 0);
    }

    /** All values in row-major order, converted to float32. */
    public float[] toFloats() {
        try (var _ = new TensorScope()) {
            return plain(DType.FLOAT32).data().toArray(JAVA_FLOAT);
        }
    }

    /** All values in row-major order, converted to float64. */
    public double[] toDoubles() {
        try (var _ = new TensorScope()) {
            return plain(DType.FLOAT64).data().toArray(JAVA_DOUBLE);
        }
    }

    /** All values in row-major order, converted to int64. */
    public long[] toLongs() {
        try (var _ = new TensorScope()) {
            return plain(DType.INT64).data().toArray(JAVA_LONG);
        }
    }

    /** All values in row-major order, converted to uint8. */
    public byte[] toBytes() {
        try (var _ = new TensorScope()) {
            return plain(DType.UINT8).data().toArray(JAVA_BYTE);
        }
    }

    private Tensor plain(DType dtype) {
        if (count() > Integer.MAX_VALUE - 8) {
            throw new InvalidArgumentException("the tensor that " + origin + " made has " + count()
                    + " elements, more than an array of Java holds: take parts of it");
        }
        return Ops.contiguous(to(Device.CPU).to(dtype));
    }

    // ---- copies ----

    /** On {@code device}; the same tensor where it is there already. */
    public Tensor to(Device device) {
        return to(device, null, MemoryFormat.PRESERVE, false, false);
    }

    /**
     * As {@link #to(Device)}; {@code nonBlocking}: from pinned memory the copy runs on the device's current stream while the
     * caller goes on. Between two GPUs it goes directly where the machine can do that.
     */
    public Tensor to(Device device, boolean nonBlocking) {
        return to(device, null, MemoryFormat.PRESERVE, nonBlocking, false);
    }

    /** As {@code dtype}; the same tensor where it is that already. */
    public Tensor to(DType dtype) {
        return to(device(), dtype, MemoryFormat.PRESERVE, false, false);
    }

    /** With its elements in another order of memory; the same tensor where they lie so already. */
    public Tensor to(MemoryFormat format) {
        return to(device(), null, format, false, false);
    }

    /**
     * On {@code device}, as {@code dtype} (null: as it is), in {@code format}. {@code nonBlocking}: from pinned memory the
     * copy runs on the device's current stream while the caller goes on. {@code copy}: also where nothing changes.
     */
    public Tensor to(Device device, DType dtype, MemoryFormat format, boolean nonBlocking, boolean copy) {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_to(
                pointer(),
                frame.device(device),
                dtype == null ? -1 : dtype.code(),
                nonBlocking ? 1 : 0,
                copy ? 1 : 0,
                format.code(),
                frame.out,
                frame.error));
        return frame.outTensor("Tensor.to");
    }

    /** Copies the values of {@code source} into this tensor, with broadcasting, across dtypes and devices. */
    public Tensor copyFrom(Tensor source) {
        return copyFrom(source, false);
    }

    /** As {@link #copyFrom(Tensor)}; {@code nonBlocking}: on the device's current stream where the memory is pinned. */
    public Tensor copyFrom(Tensor source, boolean nonBlocking) {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_copy(pointer(), source.pointer(), nonBlocking ? 1 : 0, frame.error));
        return this;
    }

    /** One tensor more for the same memory and the same history, which lives and is closed by itself. */
    public Tensor share() {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_share(pointer(), frame.out, frame.error));
        return frame.outTensor("Tensor.share");
    }

    // ---- autograd ----

    /** Lets gradients be collected for this leaf, or not. Returns this tensor. */
    public Tensor requiresGrad(boolean requires) {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_set_requires_grad(pointer(), requires ? 1 : 0, frame.error));
        return this;
    }

    public boolean requiresGrad() {
        return torch_h.lt_tensor_requires_grad(pointer()) != 0;
    }

    /** Adds to the gradients of all leaves below this tensor of one element, and frees its history. */
    public void backward() {
        backward(null, false);
    }

    /** As {@link #backward()}, from {@code gradient} (null: 1), keeping the history where {@code retainGraph}. */
    public void backward(Tensor gradient, boolean retainGraph) {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_backward(
                pointer(),
                gradient == null ? MemorySegment.NULL : gradient.pointer(),
                retainGraph ? 1 : 0,
                frame.error));
    }

    /** The gradient, or null where there is none yet. */
    public Tensor grad() {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_grad(pointer(), frame.out, frame.error));
        return frame.outAddress() == 0 ? null : frame.outTensor("Tensor.grad");
    }

    /** Sets the gradient; null takes it away. */
    public void grad(Tensor grad) {
        Native frame = Native.get();
        frame.check(
                torch_h.lt_tensor_set_grad(pointer(), grad == null ? MemorySegment.NULL : grad.pointer(), frame.error));
    }

    /** The same values without their history. Not to be confused with {@link TensorScope#detach}. */
    public Tensor detach() {
        Native frame = Native.get();
        frame.check(torch_h.lt_tensor_detach(pointer(), frame.out, frame.error));
        return frame.outTensor("Tensor.detach");
    }

    // ---- end of life ----

    public boolean isClosed() {
        return handle == 0;
    }

    /**
     * Frees this tensor now and not with its scope. A second close does nothing.
     *
     * @throws IllegalStateException where the tensor is in a scope of another thread
     */
    @Override
    public void close() {
        if (handle == 0) {
            return;
        }
        if (scope != null) {
            TensorScope.detach(this);
        }
        torch_h.lt_tensor_release(MemorySegment.ofAddress(forget()));
    }

    /** Closes all of them. */
    public static void closeAll(List<Tensor> tensors) {
        tensors.forEach(Tensor::close);
    }

    /** Dtype, shape and device, or that it is closed. */
    @Override
    public String toString() {
        if (handle == 0) {
            return "Tensor[closed, of " + origin + "]";
        }
        return "Tensor[" + dtype().name().toLowerCase(java.util.Locale.ROOT) + " " + Arrays.toString(shape()) + " on "
                + device() + "]";
    }
}
