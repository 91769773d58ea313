package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.OutOfMemoryException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TensorTest {
    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    // ---- making ----

    @Test
    void arraysAreCopiedInRowMajorOrder() {
        float[] values = {1, 2, 3, 4, 5, 6};
        Tensor tensor = Tensor.of(values, 2, 3);
        values[0] = 100;
        assertThat(tensor.shape()).containsExactly(2, 3);
        assertThat(tensor.strides()).containsExactly(3, 1);
        assertThat(tensor.toFloats()).containsExactly(1, 2, 3, 4, 5, 6);
        assertThat(tensor.dtype()).isEqualTo(DType.FLOAT32);
        assertThat(tensor.device()).isEqualTo(Device.CPU);
        assertThat(tensor.count()).isEqualTo(6);
        assertThat(tensor.size(-1)).isEqualTo(3);
    }

    @Test
    void eachArrayTypeHasItsDType() {
        assertThat(Tensor.of(new double[] {1.5}).dtype()).isEqualTo(DType.FLOAT64);
        assertThat(Tensor.of(new long[] {Long.MIN_VALUE}).toLongs()).containsExactly(Long.MIN_VALUE);
        assertThat(Tensor.of(new int[] {-7}).dtype()).isEqualTo(DType.INT32);
        Tensor bytes = Tensor.of(new byte[] {0, (byte) 255});
        assertThat(bytes.dtype()).isEqualTo(DType.UINT8);
        assertThat(bytes.toLongs()).containsExactly(0, 255);
        assertThat(bytes.toBytes()).containsExactly(0, 255);
    }

    @Test
    void valuesThatDoNotFillTheShapeAreRefused() {
        assertThatThrownBy(() -> Tensor.of(new float[5], 2, 3))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("5 values", "[2, 3]");
        assertThatThrownBy(() -> Tensor.of(new float[0], -1))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("-1");
        assertThatThrownBy(() -> Tensor.of(new float[0], 1L << 33, 1L << 33))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @ParameterizedTest
    @EnumSource
    void everyDTypeIsMadeAndKept(DType dtype) {
        Tensor tensor = Tensor.empty(dtype, 3, 5);
        assertThat(tensor.dtype()).isEqualTo(dtype);
        assertThat(tensor.data().byteSize()).isEqualTo(15L * dtype.size());
    }

    @ParameterizedTest
    @EnumSource
    void everyDTypeConvertsThereAndBack(DType dtype) {
        double[] values = dtype == DType.BOOL ? new double[] {0, 1, 1} : new double[] {0, 1, 100};
        assertThat(Tensor.of(values).to(dtype).to(DType.FLOAT64).toDoubles()).containsExactly(values);
    }

    @Test
    void emptyAndScalarTensorsAreTensors() {
        Tensor none = Tensor.empty(DType.FLOAT32, 0, 3);
        assertThat(none.count()).isZero();
        assertThat(none.shape()).containsExactly(0, 3);
        assertThat(none.toFloats()).isEmpty();
        assertThat(none.data().byteSize()).isZero();
        Tensor scalar = Tensor.empty(DType.FLOAT32);
        assertThat(scalar.shape()).isEmpty();
        assertThat(scalar.count()).isEqualTo(1);
        assertThatThrownBy(() -> scalar.size(0)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void channelsLastPutsTheChannelsOfAPixelSideBySide() {
        Tensor tensor = Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CHANNELS_LAST, false, 2, 3, 4, 5);
        assertThat(tensor.strides()).containsExactly(60, 1, 15, 3);
        Tensor rows = Ops.arange(120).to(DType.FLOAT32);
        Tensor image = Ops.reshape(rows, 2, 3, 4, 5);
        Tensor last = image.to(MemoryFormat.CHANNELS_LAST);
        assertThat(last.strides()).containsExactly(60, 1, 15, 3);
        assertThat(last.toFloats()).as("the same values by index").containsExactly(image.toFloats());
        assertThat(Arrays.copyOf(last.data().toArray(JAVA_FLOAT), 4))
                .as("another order in memory")
                .containsExactly(0, 20, 40, 1);
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CHANNELS_LAST, false, 2, 3))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void sizesThatCannotBeAreRefused() {
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT32, 2, -3))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("-3");
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT32, new long[65]))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("65");
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT64, Long.MAX_VALUE, 2))
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT64, 1L << 62, 1L << 62))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void memoryThatIsNotThereIsSaidAndTheProcessLivesOn() {
        for (int i = 0; i < 3; i++) {
            assertThatThrownBy(() -> Tensor.empty(DType.FLOAT32, 1L << 50)).isInstanceOf(OutOfMemoryException.class);
            assertThatThrownBy(() -> Ops.zeros(DType.FLOAT32, 1L << 50)).isInstanceOf(OutOfMemoryException.class);
        }
        assertThat(Ops.add(Tensor.of(new float[] {1}), Tensor.of(new float[] {2}))
                        .item())
                .isEqualTo(3);
    }

    @Test
    void pinnedMemoryWithoutAnAcceleratorIsRefused() {
        if (Device.count(Device.Type.CUDA) > 0) {
            assertThat(Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CONTIGUOUS, true, 2)
                            .count())
                    .isEqualTo(2);
            return;
        }
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CONTIGUOUS, true, 2))
                .isInstanceOf(UnsupportedException.class);
    }

    @Test
    void deviceThatIsNotThereIsRefused() {
        Device absent = Device.cuda(Device.count(Device.Type.CUDA));
        assertThatThrownBy(() -> Tensor.empty(DType.FLOAT32, absent, MemoryFormat.CONTIGUOUS, false, 2))
                .isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(absent::synchronize).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> Tensor.of(new float[] {1}).to(absent)).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> Device.cuda(-1)).isInstanceOf(InvalidArgumentException.class);
    }

    // ---- outside memory ----

    private static final List<Long> DELETED = new ArrayList<>();

    static void delete(MemorySegment context) {
        synchronized (DELETED) {
            DELETED.add(context.address());
        }
    }

    private static MemorySegment deleter(Arena arena) throws ReflectiveOperationException {
        var method = MethodHandles.lookup()
                .findStatic(TensorTest.class, "delete", MethodType.methodType(void.class, MemorySegment.class));
        return Linker.nativeLinker().upcallStub(method, FunctionDescriptor.ofVoid(ValueLayout.ADDRESS), arena);
    }

    @Test
    void outsideMemoryIsAliasedAndDeletedOnceAfterTheLastAlias() throws Exception {
        DELETED.clear();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = arena.allocateFrom(JAVA_FLOAT, 1, 2, 3, 4, 5, 6);
            long before = Torch.liveBytes();
            Tensor tensor = Tensor.fromMemory(
                    memory, DType.FLOAT32, new long[] {2, 3}, null, deleter(arena), MemorySegment.ofAddress(77));
            assertThat(Torch.liveBytes() - before).isEqualTo(24);
            assertThat(tensor.dataPointer()).isEqualTo(memory.address());
            Tensor row = Ops.narrow(tensor, 0, 1, 1);
            assertThat(row.dataPointer()).isEqualTo(memory.address() + 12);
            assertThat(tensor.storageUseCount()).isEqualTo(2);
            tensor.close();
            memory.set(JAVA_FLOAT, 12, 40);
            assertThat(row.toFloats()).containsExactly(40, 5, 6);
            assertThat(DELETED).isEmpty();
            row.close();
            assertThat(DELETED).containsExactly(77L);
            assertThat(Torch.liveBytes()).isEqualTo(before);
        }
    }

    @Test
    void outsideMemoryMayHaveStrides() throws Exception {
        DELETED.clear();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = arena.allocateFrom(JAVA_FLOAT, 1, 2, 3, 4, 5, 6);
            try (Tensor tensor = Tensor.fromMemory(
                    memory,
                    DType.FLOAT32,
                    new long[] {3, 2},
                    new long[] {1, 3},
                    deleter(arena),
                    MemorySegment.ofAddress(1))) {
                assertThat(tensor.toFloats()).containsExactly(1, 4, 2, 5, 3, 6);
            }
            assertThat(DELETED).hasSize(1);
        }
    }

    @Test
    void memoryThatIsRefusedStaysTheCallers() throws Exception {
        DELETED.clear();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = arena.allocate(64, 8);
            MemorySegment deleter = deleter(arena);
            MemorySegment context = MemorySegment.ofAddress(1);
            assertThatThrownBy(() ->
                            Tensor.fromMemory(memory.asSlice(1), DType.FLOAT32, new long[] {2}, null, deleter, context))
                    .isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> Tensor.fromMemory(memory, DType.FLOAT32, new long[] {-2}, null, deleter, context))
                    .isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> Tensor.fromMemory(
                            memory, DType.FLOAT32, new long[] {2}, new long[] {1, 1}, deleter, context))
                    .isInstanceOf(InvalidArgumentException.class);
            assertThatThrownBy(() -> Tensor.fromMemory(
                            MemorySegment.NULL, DType.FLOAT32, new long[] {2}, null, deleter, context))
                    .isInstanceOf(InvalidArgumentException.class);
            assertThat(DELETED).isEmpty();
            assertThat(Torch.liveBytes()).isZero();
        }
    }

    // ---- seeing ----

    @Test
    void itemIsTheOneValue() {
        assertThat(Tensor.of(new float[] {2.5f}).item()).isEqualTo(2.5);
        assertThat(Tensor.of(new long[] {(1L << 53) + 1}).itemLong()).isEqualTo((1L << 53) + 1);
        assertThat(Tensor.of(new float[] {1}).to(DType.BOOL).item()).isEqualTo(1);
        assertThat(Tensor.of(new double[] {0.1}).to(DType.BFLOAT16).item()).isCloseTo(0.1, within(1e-3));
        assertThatThrownBy(() -> Tensor.of(new float[] {1, 2}).item()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> Tensor.of(new float[0]).itemLong()).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void dataIsTheTensorsOwnMemory() {
        Tensor tensor = Tensor.of(new float[] {1, 2});
        tensor.data().set(JAVA_FLOAT, 4, 9);
        assertThat(tensor.toFloats()).containsExactly(1, 9);
        assertThat(tensor.data().address()).isEqualTo(tensor.dataPointer());
    }

    @Test
    void dataOfATransposedTensorIsItsMemoryInMemorysOrder() {
        Tensor transposed = Ops.permute(Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3), 1, 0);
        assertThat(transposed.data().toArray(JAVA_FLOAT)).containsExactly(1, 2, 3, 4, 5, 6);
        assertThat(transposed.toFloats()).containsExactly(1, 4, 2, 5, 3, 6);
    }

    @Test
    void dataOfATensorWithGapsOrRepeatsIsRefused() {
        Tensor tensor = Ops.reshape(Ops.arange(12), 3, 4);
        assertThatThrownBy(() -> Ops.narrow(tensor, 1, 0, 2).data())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("not dense");
        Op strided = Op.find("aten::as_strided", "");
        for (long[][] form :
                new long[][][] {{{2, 2}, {3, 0}}, {{2, 2}, {0, 3}}, {{4}, {0}}, {{2, 3}, {1, 1}}, {{2, 2, 2}, {1, 1, 5}}
                }) {
            Tensor odd = strided.call(tensor, form[0], form[1]);
            assertThatThrownBy(odd::data).as(Arrays.deepToString(form)).isInstanceOf(InvalidArgumentException.class);
            assertThat(odd.toLongs()).hasSize((int) odd.count());
        }
    }

    @Test
    void toStringSaysWhatItIs() {
        Tensor tensor = Tensor.of(new float[] {1, 2}, 1, 2);
        assertThat(tensor).hasToString("Tensor[float32 [1, 2] on cpu]");
        tensor.close();
        assertThat(tensor).hasToString("Tensor[closed, of Tensor.empty]");
    }

    // ---- copies ----

    @Test
    void toGivesTheSameMemoryWhereNothingChanges() {
        Tensor tensor = Tensor.of(new float[] {1, 2});
        assertThat(tensor.to(DType.FLOAT32).dataPointer()).isEqualTo(tensor.dataPointer());
        assertThat(tensor.to(Device.CPU, null, MemoryFormat.PRESERVE, false, true)
                        .dataPointer())
                .isNotEqualTo(tensor.dataPointer());
    }

    @Test
    void copyFromBroadcastsAndConverts() {
        Tensor target = Ops.zeros(DType.FLOAT64, 2, 2);
        assertThat(target.copyFrom(Tensor.of(new int[] {3, 4})).toDoubles()).containsExactly(3, 4, 3, 4);
        assertThatThrownBy(() -> target.copyFrom(Tensor.of(new int[] {1, 2, 3})))
                .isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void sharedTensorIsClosedByItself() {
        Tensor tensor = Tensor.of(new float[] {7});
        Tensor shared = tensor.share();
        assertThat(shared.dataPointer()).isEqualTo(tensor.dataPointer());
        tensor.close();
        assertThat(shared.item()).isEqualTo(7);
    }

    // ---- the library ----

    @Test
    void seedDecidesRandomValues() {
        Torch.manualSeed(5);
        float[] first = Ops.randn(DType.FLOAT32, 4).toFloats();
        float[] second = Ops.randn(DType.FLOAT32, 4).toFloats();
        Torch.manualSeed(5);
        assertThat(Ops.randn(DType.FLOAT32, 4).toFloats())
                .containsExactly(first)
                .isNotEqualTo(second);
    }

    @Test
    void threadsAreSetAndCounted() {
        int before = Torch.numThreads();
        try {
            Torch.numThreads(1);
            assertThat(Torch.numThreads()).isEqualTo(1);
            assertThatThrownBy(() -> Torch.numThreads(0)).isInstanceOf(InvalidArgumentException.class);
        } finally {
            Torch.numThreads(before);
        }
        assertThat(Torch.version()).matches("2\\.1[0-3]\\.\\d+.*");
    }

    @Test
    void liveTensorsAreCounted() {
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        Tensor tensor = Tensor.empty(DType.UINT8, 1);
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before + 1);
        tensor.close();
        tensor.close();
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }
}
