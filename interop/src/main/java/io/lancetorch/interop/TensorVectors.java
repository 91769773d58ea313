package io.lancetorch.interop;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.ForeignAllocation;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.ipc.message.ArrowFieldNode;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;

/** Arrow Java's vectors over the memory of tensors. */
final class TensorVectors {
    private TensorVectors() {}

    static FieldVector vector(BufferAllocator allocator, String name, Tensor tensor) {
        long[] shape = inOrderOfMemory(name, tensor);
        long values = tensor.count();
        for (long size : shape) {
            if (size > Integer.MAX_VALUE || values > Integer.MAX_VALUE) {
                throw new UnsupportedException("tensor " + name + " has " + values + " values in shape "
                        + Arrays.toString(shape) + ", and a vector of Arrow Java at most 2^31 - 1");
            }
        }
        Field field = new Field(name, FieldType.notNullable(type(name, tensor.dtype())), null);
        for (int i = shape.length - 1; i > 0; i--) {
            Field item = new Field("item", field.getFieldType(), field.getChildren());
            field = new Field(name, FieldType.notNullable(new ArrowType.FixedSizeList((int) shape[i])), List.of(item));
        }
        FieldVector vector = field.createVector(allocator);
        try (ArrowBuf data = data(allocator, tensor)) {
            FieldVector level = vector;
            long count = shape[0];
            for (int i = 1; i < shape.length; i++) {
                level.loadFieldBuffers(new ArrowFieldNode(count, 0), Collections.singletonList(null));
                level = level.getChildrenFromFields().getFirst();
                count *= shape[i];
            }
            level.loadFieldBuffers(new ArrowFieldNode(count, 0), Arrays.asList(null, data));
            return vector;
        } catch (RuntimeException e) {
            vector.close();
            throw e;
        }
    }

    /** The sizes from the outermost in memory to the innermost. */
    private static long[] inOrderOfMemory(String name, Tensor tensor) {
        long[] shape = tensor.shape();
        if (shape.length == 0) {
            throw new InvalidArgumentException("tensor " + name + " has no dimensions, and so no rows");
        }
        long[] strides = tensor.strides();
        if (isRowMajor(shape, strides)) {
            return shape;
        }
        if (shape.length == 4) {
            long[] channelsLast = {shape[0], shape[2], shape[3], shape[1]};
            if (isRowMajor(channelsLast, new long[] {strides[0], strides[2], strides[3], strides[1]})) {
                return channelsLast;
            }
        }
        throw new InvalidArgumentException("tensor " + name + " of shape " + Arrays.toString(shape) + " and strides "
                + Arrays.toString(strides) + " does not lie row by row: take Ops.contiguous of it");
    }

    private static boolean isRowMajor(long[] shape, long[] strides) {
        if (Arrays.stream(shape).anyMatch(size -> size == 0)) {
            return true;
        }
        long step = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            if (shape[i] != 1 && strides[i] != step) {
                return false;
            }
            step *= shape[i];
        }
        return true;
    }

    private static ArrowType type(String name, DType dtype) {
        return switch (dtype) {
            case BOOL -> ArrowType.Bool.INSTANCE;
            case INT8 -> new ArrowType.Int(8, true);
            case UINT8 -> new ArrowType.Int(8, false);
            case INT16 -> new ArrowType.Int(16, true);
            case UINT16 -> new ArrowType.Int(16, false);
            case INT32 -> new ArrowType.Int(32, true);
            case UINT32 -> new ArrowType.Int(32, false);
            case INT64 -> new ArrowType.Int(64, true);
            case UINT64 -> new ArrowType.Int(64, false);
            case FLOAT16 -> new ArrowType.FloatingPoint(FloatingPointPrecision.HALF);
            case FLOAT32 -> new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
            case FLOAT64 -> new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE);
            case BFLOAT16 ->
                throw new UnsupportedException(
                        "tensor " + name + " is bfloat16, which Arrow does not have: take to(DType.FLOAT32)");
        };
    }

    /** The values, which live as long as the buffer. */
    private static ArrowBuf data(BufferAllocator allocator, Tensor tensor) {
        MemorySegment memory = tensor.data();
        if (memory.byteSize() == 0) {
            return allocator.getEmpty();
        }
        if (tensor.dtype() == DType.BOOL) {
            return packed(allocator, memory);
        }
        Tensor held = TensorScope.detach(tensor.share());
        try {
            return allocator.wrapForeignAllocation(new ForeignAllocation(memory.byteSize(), memory.address()) {
                @Override
                protected void release0() {
                    held.close();
                }
            });
        } catch (RuntimeException e) {
            held.close();
            throw e;
        }
    }

    private static ArrowBuf packed(BufferAllocator allocator, MemorySegment bools) {
        long bytes = (bools.byteSize() + 7) / 8;
        ArrowBuf buffer = allocator.buffer(bytes);
        MemorySegment bits = MemorySegment.ofAddress(buffer.memoryAddress()).reinterpret(bytes);
        bits.fill((byte) 0);
        for (long i = 0; i < bools.byteSize(); i++) {
            if (bools.get(JAVA_BYTE, i) != 0) {
                bits.set(JAVA_BYTE, i >>> 3, (byte) (bits.get(JAVA_BYTE, i >>> 3) | 1 << (i & 7)));
            }
        }
        return buffer;
    }
}
