package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.lt_tensor_info;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InternalException;
import io.lancetorch.error.InvalidArgumentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/**
 * What one thread needs to call libtorch: its open scope, and native memory for arguments, results and the error, made
 * once so that an operator call allocates nothing.
 */
final class Native {
    static final int MAX_ARGUMENTS = 32;
    static final int MAX_RESULTS = 16;
    static final int MAX_DIMENSIONS = 64;
    private static final long VALUE_SIZE = 16;
    private static final long VALUE_LENGTH = 4;
    private static final long VALUE_AS = 8;
    private static final int LIST_BYTES = 4096;

    private static final int TENSOR = 1;
    private static final int INT = 2;
    private static final int DOUBLE = 3;
    private static final int BOOL = 4;
    private static final int STRING = 5;
    private static final int INT_LIST = 6;
    private static final int DOUBLE_LIST = 7;
    private static final int BOOL_LIST = 8;
    private static final int TENSOR_LIST = 9;
    private static final int DEVICE = 10;
    private static final int DEFAULT = 11;

    private static final ThreadLocal<Native> CURRENT = ThreadLocal.withInitial(Native::new);

    final MemorySegment error;
    final MemorySegment out;
    final MemorySegment info;
    private final MemorySegment arguments;
    private final MemorySegment results;
    private final MemorySegment resultCount;
    private final MemorySegment lists;
    private final MemorySegment deviceArgument;
    private MemorySegment handles;
    private Arena overflowArena;
    private int argumentCount;
    private long listBytes;
    TensorScope scope;

    private Native() {
        // Here and not in a static initialiser, which would wrap what this throws.
        NativeLibraries.torch();
        Arena arena = Arena.ofAuto();
        error = arena.allocate(Status.ERROR_SIZE, 8);
        out = arena.allocate(64, 8);
        info = lt_tensor_info.allocate(arena);
        arguments = arena.allocate(VALUE_SIZE * MAX_ARGUMENTS, 8);
        results = arena.allocate(VALUE_SIZE * MAX_RESULTS, 8);
        resultCount = arena.allocate(8, 8);
        lists = arena.allocate(LIST_BYTES, 8);
        deviceArgument = arena.allocate(8, 8);
    }

    /** Opens libtorch at the first call. */
    static void open() {
        NativeLibraries.torch();
    }

    static Native get() {
        return CURRENT.get();
    }

    void check(int status) {
        Status.check(status, error);
    }

    /** The pointer that the last call wrote to {@link #out}. */
    long outAddress() {
        return out.get(JAVA_LONG, 0);
    }

    MemorySegment device(Device device) {
        deviceArgument.set(JAVA_LONG, 0, device.packed());
        return deviceArgument;
    }

    /** A tensor for a handle that the last call wrote to {@link #out}. */
    Tensor outTensor(String origin) {
        return new Tensor(outAddress(), origin, this);
    }

    /** Room for {@code count} handles, good until the next call. */
    MemorySegment handles(long count) {
        if (handles == null || handles.byteSize() < 8 * count) {
            handles = Arena.ofAuto().allocate(8 * Math.max(256, Long.highestOneBit(count) * 2), 8);
        }
        return handles;
    }

    /** The tensors' handles in an array of C, good until the next call. */
    MemorySegment handles(java.util.List<Tensor> tensors) {
        MemorySegment array = handles(tensors.size());
        for (int i = 0; i < tensors.size(); i++) {
            array.setAtIndex(JAVA_LONG, i, tensors.get(i).handle());
        }
        return array;
    }

    // ---- operator calls: begin, then arguments in order, then call ----

    Native begin() {
        argumentCount = 0;
        listBytes = 0;
        return this;
    }

    private long next(int tag, int length) {
        if (argumentCount == MAX_ARGUMENTS) {
            throw new InvalidArgumentException("more than " + MAX_ARGUMENTS + " arguments for one operator");
        }
        long at = argumentCount++ * VALUE_SIZE;
        arguments.set(JAVA_LONG, at, tag & 0xffffffffL | (long) length << 32);
        return at + VALUE_AS;
    }

    Native tensor(Tensor tensor) {
        arguments.set(JAVA_LONG, next(TENSOR, 0), tensor.handle());
        return this;
    }

    Native tensorOrNone(Tensor tensor) {
        return tensor == null ? none() : tensor(tensor);
    }

    Native none() {
        next(0, 0);
        return this;
    }

    Native defaultValue() {
        next(DEFAULT, 0);
        return this;
    }

    Native integer(long value) {
        arguments.set(JAVA_LONG, next(INT, 0), value);
        return this;
    }

    Native real(double value) {
        arguments.set(JAVA_DOUBLE, next(DOUBLE, 0), value);
        return this;
    }

    Native bool(boolean value) {
        arguments.set(JAVA_LONG, next(BOOL, 0), value ? 1 : 0);
        return this;
    }

    Native deviceValue(Device device) {
        arguments.set(JAVA_LONG, next(DEVICE, 0), device.packed());
        return this;
    }

    Native string(String value) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        MemorySegment copy = room(bytes.length);
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
        arguments.set(JAVA_LONG, next(STRING, bytes.length), copy.address());
        return this;
    }

    Native integers(long... values) {
        return list(INT_LIST, values);
    }

    Native integers(long first, long second) {
        MemorySegment list = room(16);
        list.set(JAVA_LONG, 0, first);
        list.set(JAVA_LONG, 8, second);
        arguments.set(JAVA_LONG, next(INT_LIST, 2), list.address());
        return this;
    }

    private Native list(int tag, long[] values) {
        MemorySegment list = room(8L * values.length);
        MemorySegment.copy(values, 0, list, JAVA_LONG, 0, values.length);
        arguments.set(JAVA_LONG, next(tag, values.length), list.address());
        return this;
    }

    Native reals(double... values) {
        MemorySegment list = room(8L * values.length);
        MemorySegment.copy(values, 0, list, JAVA_DOUBLE, 0, values.length);
        arguments.set(JAVA_LONG, next(DOUBLE_LIST, values.length), list.address());
        return this;
    }

    Native bools(boolean... values) {
        long[] wide = new long[values.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = values[i] ? 1 : 0;
        }
        return list(BOOL_LIST, wide);
    }

    /** Null entries stand for undefined tensors. */
    Native tensors(Tensor... tensors) {
        long[] handles = new long[tensors.length];
        for (int i = 0; i < handles.length; i++) {
            handles[i] = tensors[i] == null ? 0 : tensors[i].handle();
        }
        return list(TENSOR_LIST, handles);
    }

    /** An argument of any kind that the schema of {@code op} can ask for. */
    Native any(Op op, Object value) {
        return switch (value) {
            case null -> none();
            case Tensor tensor -> tensor(tensor);
            case Long number -> integer(number);
            case Integer number -> integer(number);
            case Double number -> real(number);
            case Float number -> real(number);
            case Boolean flag -> bool(flag);
            case String text -> string(text);
            case DType dtype -> integer(dtype.code());
            case MemoryFormat format -> integer(format.code());
            case Device device -> deviceValue(device);
            case long[] list -> integers(list);
            case int[] list ->
                integers(java.util.Arrays.stream(list).asLongStream().toArray());
            case double[] list -> reals(list);
            case boolean[] list -> bools(list);
            case Tensor[] list -> tensors(list);
            case Op.Default _ -> defaultValue();
            default ->
                throw new InvalidArgumentException(op + ": argument " + argumentCount + " is a "
                        + value.getClass().getName() + ", which no operator takes; see Op.call for what one can");
        };
    }

    /** Memory for a list, good until the call is done. */
    private MemorySegment room(long bytes) {
        long aligned = bytes + 7 & ~7L;
        if (listBytes + aligned <= LIST_BYTES) {
            MemorySegment list = lists.asSlice(listBytes, aligned);
            listBytes += aligned;
            return list;
        }
        if (overflowArena == null) {
            overflowArena = Arena.ofConfined();
        }
        return overflowArena.allocate(aligned, 8);
    }

    private int invoke(Op op) {
        try {
            Status.check(
                    torch_h.lt_op_call(op.handle(), arguments, argumentCount, results, MAX_RESULTS, resultCount, error),
                    error);
        } finally {
            if (overflowArena != null) {
                overflowArena.close();
                overflowArena = null;
            }
        }
        return resultCount.get(JAVA_INT, 0);
    }

    /** Calls an operator of one tensor result. */
    Tensor call(Op op) {
        int count = invoke(op);
        if (count == 1 && results.get(JAVA_INT, 0) == TENSOR) {
            return new Tensor(results.get(JAVA_LONG, VALUE_AS), op.name, this);
        }
        try (var _ = new TensorScope()) {
            collect(op, count);
        }
        throw new InvalidArgumentException(
                op.schema() + " gives " + count + " results and not just one tensor: call it with callAll");
    }

    /** Calls an operator that changes its first argument, and lets go the second handle to the same tensor. */
    void callInPlace(Op op) {
        int count = invoke(op);
        for (int i = 0; i < count; i++) {
            long at = i * VALUE_SIZE;
            if (results.get(JAVA_INT, at) == TENSOR) {
                torch_h.lt_tensor_release(MemorySegment.ofAddress(results.get(JAVA_LONG, at + VALUE_AS)));
            }
        }
    }

    Object[] callAll(Op op) {
        return collect(op, invoke(op));
    }

    private Object[] collect(Op op, int count) {
        Object[] values = new Object[count];
        for (int i = 0; i < count; i++) {
            long at = i * VALUE_SIZE;
            int length = results.get(JAVA_INT, at + VALUE_LENGTH);
            long payload = results.get(JAVA_LONG, at + VALUE_AS);
            values[i] = switch (results.get(JAVA_INT, at)) {
                case 0 -> null;
                case TENSOR -> new Tensor(payload, op.name, this);
                case INT -> payload;
                case DOUBLE -> results.get(JAVA_DOUBLE, at + VALUE_AS);
                case BOOL -> payload != 0;
                case TENSOR_LIST -> {
                    MemorySegment handles = MemorySegment.ofAddress(payload).reinterpret(8L * length);
                    Tensor[] tensors = new Tensor[length];
                    for (int j = 0; j < length; j++) {
                        tensors[j] = new Tensor(handles.get(JAVA_LONG, 8L * j), op.name, this);
                    }
                    torch_h.lt_value_free(results.asSlice(at, VALUE_SIZE));
                    yield tensors;
                }
                default ->
                    throw new InternalException(op.schema() + " gave a value of tag " + results.get(JAVA_INT, at)
                            + ", which has no Java form");
            };
        }
        return values;
    }
}
