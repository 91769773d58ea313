package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.OutOfMemoryException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.testing.Devices;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceTest {
    @Test
    void namesAreThoseOfPyTorch() {
        assertThat(Device.parse("cpu")).isEqualTo(Device.CPU);
        assertThat(Device.parse("cuda").index()).isEqualTo(-1);
        assertThat(Device.parse("cuda:3")).isEqualTo(Device.cuda(3)).hasToString("cuda:3");
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpu", "cuda:", "cuda:-1", "cuda:0x", "CPU", ""})
    void otherNamesAreRefused(String name) {
        assertThatThrownBy(() -> Device.parse(name))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("cuda:INDEX");
    }

    @Test
    void aDeviceThatIsNotThereSaysWhyInOneLine() {
        Device missing = Device.cuda(127);
        assertThat(missing.isAvailable()).isFalse();
        assertThatThrownBy(missing::require)
                .isInstanceOf(UnsupportedException.class)
                .message()
                .contains("cuda:127")
                .containsAnyOf("built without CUDA", "NVIDIA driver", "No CUDA GPUs", "there are")
                .doesNotContain("\n");
        assertThat(Device.CPU.require()).isEqualTo(Device.CPU);
    }

    @Test
    void whatNeedsCudaIsRefusedWithoutIt() {
        assumeFalse(Devices.hasCuda(), "skipped: there is a GPU");
        Device gpu = Device.cuda(0);
        assertThatThrownBy(gpu::memoryStats).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> Tensor.empty(DType.UINT8, Device.CPU, MemoryFormat.CONTIGUOUS, true, 1))
                .isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> CudaGraph.record(gpu, () -> {})).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(Device.CPU::memoryStats)
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("CPU");
    }

    @Test
    void allocatorTellsItsNumbersAndGivesMemoryBack() {
        Device gpu = Devices.requireCuda();
        gpu.emptyCache();
        gpu.resetPeakMemory();
        long before = gpu.memoryStats().allocated();
        try (Tensor _ = Tensor.empty(DType.UINT8, gpu, MemoryFormat.CONTIGUOUS, false, 64 << 20)) {
            MemoryStats stats = gpu.memoryStats();
            assertThat(stats.allocated()).isEqualTo(before + (64 << 20));
            assertThat(stats.allocatedPeak()).isGreaterThanOrEqualTo(stats.allocated());
            assertThat(stats.reserved()).isGreaterThanOrEqualTo(stats.allocated());
            assertThat(stats.total()).isGreaterThan(stats.free());
        }
        assertThat(gpu.memoryStats().allocated()).isEqualTo(before);
        long reserved = gpu.memoryStats().reserved();
        gpu.emptyCache();
        assertThat(gpu.memoryStats().reserved()).isLessThan(reserved);
    }

    @Test
    void usedUpMemoryIsATypedExceptionAfterWhichWorkGoesOn() {
        Device gpu = Devices.requireCuda();
        long failures = gpu.memoryStats().outOfMemory();
        long tooMuch = gpu.memoryStats().total() * 2;
        assertThatThrownBy(() -> Tensor.empty(DType.UINT8, gpu, MemoryFormat.CONTIGUOUS, false, tooMuch))
                .isInstanceOf(OutOfMemoryException.class)
                .hasMessageContaining("Tried to allocate")
                .hasMessageContaining("reserved by PyTorch");
        assertThat(gpu.memoryStats().outOfMemory()).isEqualTo(failures + 1);
        try (var _ = new TensorScope()) {
            assertThat(Ops.sum(Ops.ones(DType.FLOAT32, 1000).to(gpu)).item()).isEqualTo(1000);
        }
    }

    @Test
    void pinnedMemoryIsCopiedOnAStreamWhileTheCallerGoesOn() {
        Device gpu = Devices.requireCuda();
        try (var _ = new TensorScope();
                Stream stream = Stream.create(gpu);
                Stream current = Stream.current(gpu);
                var copied = new Event(gpu, false)) {
            Tensor pinned = Tensor.empty(DType.FLOAT32, Device.CPU, MemoryFormat.CONTIGUOUS, true, 1 << 20);
            Ops.fillInPlace(pinned, 3);
            stream.makeCurrent();
            Tensor there = pinned.to(gpu, true);
            copied.record(stream);
            current.makeCurrent();
            current.await(copied);
            current.record(there);
            assertThat(Ops.sum(there).item()).isEqualTo(3.0 * (1 << 20));
        }
    }

    @Test
    void graphDoesTheRecordedWorkOnNewValues() {
        Device gpu = Devices.requireCuda();
        try (var _ = new TensorScope()) {
            Tensor input = Ops.ones(DType.FLOAT32, 4).to(gpu);
            Tensor[] output = new Tensor[1];
            Ops.mul(input, 2); // so that nothing is set up while it is recorded
            try (var graph = CudaGraph.record(gpu, () -> output[0] = Ops.add(Ops.mul(input, 2), input))) {
                graph.replay();
                assertThat(output[0].toFloats()).containsExactly(3, 3, 3, 3);
                input.copyFrom(Tensor.of(new float[] {1, 2, 3, 4}));
                graph.replay();
                assertThat(output[0].toFloats()).containsExactly(3, 6, 9, 12);
            }
        }
    }

    @Test
    void deterministicModeRefusesWhatCannotBeRepeated() {
        assertThat(Torch.isDeterministic()).isFalse();
        Torch.deterministic(true, false);
        try (var _ = new TensorScope()) {
            assertThat(Torch.isDeterministic()).isTrue();
            Tensor values = Ops.ones(DType.FLOAT32, 4);
            // put_ without accumulate has an order of writes that is not fixed.
            assertThatThrownBy(() -> Op.find("aten::put_", "")
                            .call(values, Tensor.of(new long[] {0, 0}), Tensor.of(new float[] {1, 2}), false))
                    .isInstanceOf(LanceTorchException.class)
                    .hasMessageContaining("deterministic");
        } finally {
            Torch.deterministic(false, false);
        }
        assertThat(Torch.isDeterministic()).isFalse();
        Torch.cudnnBenchmark(true);
        assertThat(Torch.isCudnnBenchmark()).isTrue();
        Torch.cudnnBenchmark(false);
        for (Torch.Float32Precision precision : Torch.Float32Precision.values()) {
            Torch.float32Precision(precision);
        }
        Torch.float32Precision(Torch.Float32Precision.HIGHEST);
    }
}
