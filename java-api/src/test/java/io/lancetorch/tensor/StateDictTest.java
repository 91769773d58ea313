package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.testing.Python;
import io.lancetorch.testing.TestData;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StateDictTest {
    /** What {@code torch.save} has no typed storage for. */
    private static final Set<DType> BEYOND = Set.of(DType.UINT16, DType.UINT32, DType.UINT64);

    @TempDir
    private Path folder;

    private TensorScope scope;

    @BeforeEach
    void open() {
        scope = new TensorScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static Map<String, Tensor> sample() {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (DType dtype : DType.values()) {
            if (BEYOND.contains(dtype)) {
                continue;
            }
            double[] values = {0, 1, dtype == DType.BOOL ? 1 : 100};
            tensors.put(
                    dtype.name().toLowerCase(java.util.Locale.ROOT),
                    Tensor.of(values).to(dtype));
        }
        Tensor base = Ops.reshape(Ops.arange(24).to(DType.FLOAT32), 4, 6);
        tensors.put("base", base);
        tensors.put("row", Ops.narrow(base, 0, 2, 1));
        tensors.put("transposed", Ops.permute(base, 1, 0));
        tensors.put("same again", base.share());
        tensors.put("channels_last", Ops.reshape(base, 1, 2, 3, 4).to(MemoryFormat.CHANNELS_LAST));
        tensors.put("scalar", Ops.fillInPlace(Tensor.empty(DType.FLOAT32), 42));
        tensors.put("empty", Tensor.empty(DType.FLOAT32, 0, 3));
        tensors.put("größe.weight", Tensor.of(new float[] {1.5f}).requiresGrad(true));
        return tensors;
    }

    private static void assertSame(Map<String, Tensor> read, Map<String, Tensor> written) {
        assertThat(read.keySet()).containsExactlyElementsOf(written.keySet());
        written.forEach((name, tensor) -> {
            Tensor other = read.get(name);
            assertThat(other.dtype()).as(name).isEqualTo(tensor.dtype());
            assertThat(other.shape()).as(name).isEqualTo(tensor.shape());
            assertThat(other.strides()).as(name).isEqualTo(tensor.strides());
            assertThat(other.toDoubles()).as(name).isEqualTo(tensor.toDoubles());
        });
    }

    @Test
    void whatIsSavedIsLoaded() {
        Path file = folder.resolve("state.pt");
        Map<String, Tensor> written = sample();
        StateDict.save(file, written);
        Map<String, Tensor> read = StateDict.load(file);
        assertSame(read, written);
        assertThat(read.get("row").dataPointer())
                .as("storages are shared as they were")
                .isEqualTo(read.get("base").dataPointer() + 2 * 6 * 4);
        assertThat(read.get("same again").dataPointer())
                .isEqualTo(read.get("base").dataPointer());
        assertThat(read.get("größe.weight").requiresGrad()).isFalse();
    }

    @Test
    void loadedTensorsBelongToTheScopeAndEachIsClosedByItself() {
        Path file = folder.resolve("state.pt");
        StateDict.save(file, sample());
        scope.close();
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        try (var inner = new TensorScope()) {
            assertThat(StateDict.load(file)).hasSize(inner.size());
        }
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
        Map<String, Tensor> free = StateDict.load(file);
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before + free.size());
        free.get("base").close();
        assertThat(free.get("same again").toFloats()).hasSize(24);
        free.values().forEach(Tensor::close);
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }

    @Test
    void noTensorsAreAStateDictToo() {
        Path file = folder.resolve("none.pt");
        StateDict.save(file, Map.of());
        assertThat(StateDict.load(file)).isEmpty();
    }

    @Test
    void manyTensorsKeepTheirOrder() {
        Map<String, Tensor> many = new LinkedHashMap<>();
        for (int i = 0; i < 1500; i++) {
            many.put("layer" + (i * 7919 % 1500), Tensor.of(new float[] {i}));
        }
        Path file = folder.resolve("many.pt");
        StateDict.save(file, many);
        assertSame(StateDict.load(file), many);
    }

    @Test
    void savingReplacesAFileAndLeavesNothingElse() throws Exception {
        Path file = folder.resolve("state.pt");
        StateDict.save(file, Map.of("a", Tensor.of(new float[] {1})));
        StateDict.save(file, Map.of("a", Tensor.of(new float[] {2})));
        assertThat(StateDict.load(file).get("a").item()).isEqualTo(2);
        try (var files = Files.list(folder)) {
            assertThat(files).containsExactly(file);
        }
    }

    @Test
    void dtypesThatTheFormatHasNoPlaceForAreRefused() {
        Path file = folder.resolve("state.pt");
        for (DType dtype : BEYOND) {
            Map<String, Tensor> state =
                    Map.of("counts", Tensor.of(new int[] {1}).to(dtype));
            assertThatThrownBy(() -> StateDict.save(file, state))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContaining("counts");
        }
        assertThat(file).doesNotExist();
    }

    @Test
    void folderThatIsNotThereIsNamed() {
        Path file = folder.resolve("nowhere/state.pt");
        Map<String, Tensor> state = Map.of("a", Tensor.of(new float[] {1}));
        assertThatThrownBy(() -> StateDict.save(file, state))
                .isInstanceOf(StorageException.class)
                .hasMessageContaining("nowhere");
        assertThatThrownBy(() -> StateDict.load(file))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("nowhere");
    }

    // ---- what Python wrote ----

    @Test
    void pythonsModuleStateDictIsRead() {
        Map<String, Tensor> state = StateDict.load(TestData.resource("statedict/model.pt"));
        assertThat(state.keySet())
                .containsExactly(
                        "conv.weight",
                        "conv.bias",
                        "norm.weight",
                        "norm.bias",
                        "norm.running_mean",
                        "norm.running_var",
                        "norm.num_batches_tracked",
                        "head.weight",
                        "head.bias");
        Tensor weight = state.get("conv.weight");
        assertThat(weight.shape()).containsExactly(2, 1, 3, 3);
        for (int i = 0; i < 18; i++) {
            assertThat(weight.toFloats()[i]).isEqualTo(i / 8f - 1);
        }
        assertThat(state.get("norm.running_mean").toFloats()).containsExactly(0.5f, -0.25f);
        assertThat(state.get("norm.num_batches_tracked").dtype()).isEqualTo(DType.INT64);
        assertThat(state.get("norm.num_batches_tracked").itemLong()).isEqualTo(7);
        assertThat(state.get("head.weight").shape()).containsExactly(3, 4);
    }

    @Test
    void pythonsTypesAndSharedStoragesAreRead() {
        Map<String, Tensor> state = StateDict.load(TestData.resource("statedict/types.pt"));
        assertThat(state.get("parameter").toFloats()).containsExactly(1.5f, -2.5f);
        assertThat(state.get("bfloat16").dtype()).isEqualTo(DType.BFLOAT16);
        assertThat(state.get("bfloat16").toDoubles()).containsExactly(1, -0.5, 3.140625);
        assertThat(state.get("half").dtype()).isEqualTo(DType.FLOAT16);
        assertThat(state.get("half").toDoubles()).containsExactly(1, -0.5, 65504);
        assertThat(state.get("double").toDoubles()).containsExactly(1e-300, 2);
        assertThat(state.get("int64").toLongs()).containsExactly(-(1L << 62), 1L << 62);
        assertThat(state.get("int32").toLongs()).containsExactly(Integer.MIN_VALUE, Integer.MAX_VALUE);
        assertThat(state.get("int16").toLongs()).containsExactly(Short.MIN_VALUE, Short.MAX_VALUE);
        assertThat(state.get("int8").toLongs()).containsExactly(-128, 127);
        assertThat(state.get("uint8").toLongs()).containsExactly(0, 255);
        assertThat(state.get("bool").dtype()).isEqualTo(DType.BOOL);
        assertThat(state.get("bool").toLongs()).containsExactly(1, 0, 1);
        assertThat(state.get("scalar").shape()).isEmpty();
        assertThat(state.get("scalar").item()).isEqualTo(42);
        assertThat(state.get("empty").shape()).containsExactly(0, 3);
        long base = state.get("base").dataPointer();
        assertThat(state.get("row").dataPointer()).isEqualTo(base + 2 * 6 * 4);
        assertThat(state.get("row").toFloats()).containsExactly(12, 13, 14, 15, 16, 17);
        assertThat(state.get("column").toFloats()).containsExactly(1, 7, 13, 19);
        assertThat(state.get("transposed").strides()).containsExactly(1, 6);
        assertThat(state.get("channels_last").strides()).containsExactly(24, 1, 8, 2);
        assertThat(state.get("channels_last").toFloats()[23]).isEqualTo(23);
    }

    @Test
    void pythonReadsOursWithWeightsOnly() throws Exception {
        Path file = folder.resolve("ours.pt");
        StateDict.save(file, sample());
        String output = Python.run("torch", """
                import sys, torch
                state = torch.load(sys.argv[1], weights_only=True)
                for name, tensor in state.items():
                    print(name, tensor.dtype, list(tensor.shape), list(tensor.stride()),
                          tensor.to(torch.float64).flatten().tolist())
                assert state["row"].untyped_storage().data_ptr() == state["base"].untyped_storage().data_ptr()
                assert not state["größe.weight"].requires_grad
                print("read")
                """, file);
        assertThat(output)
                .contains("bfloat16 torch.bfloat16 [3] [1] [0.0, 1.0, 100.0]")
                .contains("bool torch.bool [3] [1] [0.0, 1.0, 1.0]")
                .contains("row torch.float32 [1, 6] [6, 1] [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]")
                .contains("transposed torch.float32 [6, 4] [1, 6]")
                .contains("channels_last torch.float32 [1, 2, 3, 4] [24, 1, 8, 2]")
                .contains("scalar torch.float32 [] [] [42.0]")
                .contains("größe.weight torch.float32 [1] [1] [1.5]")
                .endsWith("read\n");
    }

    // ---- what is no state dict ----

    @Test
    void codeInAFileIsNotRun() {
        assertThatThrownBy(() -> StateDict.load(TestData.resource("statedict/evil.pt")))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("exec");
        assertThat(Path.of("/tmp/lancetorch-was-here")).doesNotExist();
    }

    @Test
    void wholeModuleIsRefusedNamingItsClass() {
        assertThatThrownBy(() -> StateDict.load(TestData.resource("statedict/whole-module.pt")))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("whole-module.pt", "torch.nn.modules.linear", "state_dict()");
    }

    @Test
    void formatBeforeZipIsRefused() {
        assertThatThrownBy(() -> StateDict.load(TestData.resource("statedict/old-format.pt")))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("old-format.pt");
    }

    @ParameterizedTest
    @ValueSource(strings = {"model.pt", "types.pt"})
    void fileCutShortAnywhereIsCorrupt(String name) throws Exception {
        byte[] whole = Files.readAllBytes(TestData.resource("statedict/" + name));
        Path file = folder.resolve("cut.pt");
        for (int length = 0; length < whole.length; length += 37) {
            Files.write(file, Arrays.copyOf(whole, length));
            assertThatThrownBy(() -> StateDict.load(file))
                    .as("%d of %d bytes", length, whole.length)
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContaining("cut.pt");
        }
    }

    @Test
    void flippedBitInATensorsBytesIsFoundAndItsRecordNamed() throws Exception {
        Path file = folder.resolve("state.pt");
        StateDict.save(file, Map.of("marked", Tensor.of(new long[] {0x5ca1ab1e5ca1ab1eL, 1, 2})));
        byte[] bytes = Files.readAllBytes(file);
        int at = new String(bytes, StandardCharsets.ISO_8859_1).indexOf("\u001e\u00ab\u00a1\\");
        bytes[at + 9] ^= 4;
        Files.write(file, bytes);
        assertThatThrownBy(() -> StateDict.load(file))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContainingAll("state.pt", "record data/0", "checksum");
    }

    @ParameterizedTest
    @ValueSource(strings = {"model.pt", "types.pt", "ours.pt"})
    void damagedFileIsReadOrRefusedButNeverEndsTheProcess(String name) throws Exception {
        if (name.equals("ours.pt")) {
            StateDict.save(folder.resolve(name), sample());
        }
        byte[] whole = Files.readAllBytes(
                name.equals("ours.pt") ? folder.resolve(name) : TestData.resource("statedict/" + name));
        Path file = folder.resolve("damaged.pt");
        var random = new Random(20261123);
        List<Throwable> others = new ArrayList<>();
        int refused = 0;
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        for (int i = 0; i < 300; i++) {
            byte[] damaged = whole.clone();
            // The pickle comes first in the file, so half of the damage is done there.
            int span = i % 2 == 0 ? Math.min(whole.length, 1500) : whole.length;
            for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
                int at = random.nextInt(span);
                damaged[at] = (byte) (i % 3 == 0 ? damaged[at] ^ 1 << random.nextInt(8) : random.nextInt(256));
            }
            Files.write(file, damaged);
            Throwable thrown = catchThrowable(() -> {
                try (var _ = new TensorScope()) {
                    StateDict.load(file).values().forEach(Tensor::toDoubles);
                }
            });
            if (thrown instanceof LanceTorchException) {
                refused++;
            } else if (thrown != null) {
                others.add(thrown);
            }
        }
        assertThat(others).isEmpty();
        assertThat(refused).as("files refused").isGreaterThan(50);
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }

    // ---- into a model ----

    @Test
    void valuesAreCopiedIntoAModelByName() {
        Tensor weight = Ops.zeros(DType.FLOAT32, 2).requiresGrad(true);
        Tensor steps = Ops.zeros(DType.INT64);
        StateDict.copy(
                Map.of("w", Tensor.of(new double[] {1, 2}), "n", Ops.fillInPlace(Ops.zeros(DType.INT64), 9)),
                Map.of("w", weight, "n", steps));
        assertThat(weight.toFloats()).containsExactly(1, 2);
        assertThat(weight.requiresGrad()).isTrue();
        assertThat(steps.itemLong()).isEqualTo(9);
    }

    @Test
    void stateOfAnotherModelIsRefusedAndNothingCopied() {
        Tensor a = Ops.zeros(DType.FLOAT32, 2);
        Tensor two = Tensor.of(new float[] {1, 2});
        Tensor three = Tensor.of(new float[] {1, 2, 3});
        Map<String, Tensor> model = new LinkedHashMap<>();
        model.put("a", a);
        model.put("b", Ops.zeros(DType.FLOAT32, 2));
        assertThatThrownBy(() -> StateDict.copy(Map.of("a", two), model))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("no b");
        assertThatThrownBy(() -> StateDict.copy(Map.of("a", two, "b", two, "c", two), model))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("has c");
        assertThatThrownBy(() -> StateDict.copy(Map.of("a", two, "b", three), model))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("b", "[3]", "[2]");
        assertThat(a.toFloats()).containsExactly(0, 0);
    }
}
