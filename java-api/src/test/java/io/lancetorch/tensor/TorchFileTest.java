package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.testing.Python;
import io.lancetorch.testing.TorchFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TorchFileTest {
    @TempDir
    private Path folder;

    private TensorScope scope;
    private Path file;

    @BeforeEach
    void open() {
        scope = new TensorScope();
        file = folder.resolve("value.pt");
    }

    @AfterEach
    void close() {
        scope.close();
    }

    /** Of each kind of value, with {@code tensor} in two places. */
    private static Map<Object, Object> sample(Tensor tensor) {
        Map<Object, Object> value = new LinkedHashMap<>();
        value.put("model", new LinkedHashMap<>(Map.of("weight", tensor)));
        value.put("numbers", List.of(0L, -1L, 255L, 65_536L, Long.MAX_VALUE, Long.MIN_VALUE));
        value.put("reals", List.of(0.1, -1e300, Double.POSITIVE_INFINITY, Double.MIN_VALUE));
        value.put(7L, List.of(List.of(), Map.of(), true, false));
        value.put(-1L, null);
        value.put("text", "größe \ud83d\udd25 \u0000 end");
        value.put("", tensor);
        return value;
    }

    @Test
    void valuesOfEachKindAreReadAsTheyWereWritten() {
        TorchFile.save(file, sample(Tensor.of(new float[] {1, 2})));
        Map<?, ?> read = (Map<?, ?>) TorchFile.load(file);
        Tensor first = (Tensor) ((Map<?, ?>) read.get("model")).get("weight");
        Tensor second = (Tensor) read.get("");
        assertThat(first.toFloats()).containsExactly(1, 2);
        assertThat(second).isNotSameAs(first);
        assertThat(second.dataPointer()).isEqualTo(first.dataPointer());
        assertThat(read).isEqualTo(withTensors(first, second));
        assertThat(read.keySet().toArray())
                .as("the order of the file")
                .containsExactly("model", "numbers", "reals", 7L, -1L, "text", "");
    }

    private static Map<Object, Object> withTensors(Tensor first, Tensor second) {
        Map<Object, Object> expected = sample(first);
        expected.put("", second);
        return expected;
    }

    @Test
    void anyValueCanBeTheWholeFile() {
        for (Object value : Arrays.asList(null, 3L, 0.5, "text", true, List.of(1L), Map.of("a", 1L))) {
            TorchFile.save(file, value);
            assertThat(TorchFile.load(file)).isEqualTo(value);
        }
        TorchFile.save(file, Tensor.of(new int[] {4}));
        assertThat(((Tensor) TorchFile.load(file)).itemLong()).isEqualTo(4);
        assertThatThrownBy(() -> StateDict.load(file))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("no dict of tensors");
    }

    @Test
    void shorterNumbersAreWidened() {
        TorchFile.save(file, List.of(1, 0.5f));
        assertThat(TorchFile.load(file)).isEqualTo(List.of(1L, 0.5));
    }

    @Test
    void whatHasNoPlaceInAFileIsNamedWithItsPlace() {
        assertThatThrownBy(() -> TorchFile.save(file, Map.of("a", List.of(Map.of("b", new int[1])))))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("a[0].b is a [I");
        assertThatThrownBy(() -> TorchFile.save(file, Map.of("a", Map.of(0.5, 1))))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("a has the key 0.5");
        assertThatThrownBy(() -> TorchFile.save(file, Map.of(1, "a", 1L, "b")))
                .as("Python has one number 1")
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("\"1\" is there twice");
        Tensor unsigned = Tensor.of(new int[] {1}).to(DType.UINT16);
        assertThatThrownBy(() -> TorchFile.save(file, Map.of("model", Map.of("count", unsigned))))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("model.count");
        assertThatThrownBy(() -> TorchFile.save(folder.resolve("none/a.pt"), 1L))
                .isInstanceOf(StorageException.class);
        List<Object> endless = new ArrayList<>();
        endless.add(endless);
        assertThatThrownBy(() -> TorchFile.save(file, endless))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("levels deep");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void sixtyFourLevelsAreWrittenAndRead() {
        Object value = 1L;
        for (int i = 0; i < 64; i++) {
            value = List.of(value);
        }
        TorchFile.save(file, value);
        assertThat(TorchFile.load(file)).isEqualTo(value);
        Object deeper = List.of(value);
        assertThatThrownBy(() -> TorchFile.save(file, deeper)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void pythonReadsOursWithWeightsOnly() throws Exception {
        TorchFile.save(file, sample(Tensor.of(new float[] {1, 2})));
        String output = Python.run("torch", """
                import sys, torch
                value = torch.load(sys.argv[1], weights_only=True)
                tensor = value.pop("")
                assert value["model"].pop("weight").data_ptr() == tensor.data_ptr()
                assert value["text"] == "größe \\U0001f525 \\0 end"
                del value["text"]
                print(tensor.tolist(), value)
                """, file);
        assertThat(output)
                .isEqualTo("[1.0, 2.0] {'model': {}, 'numbers': [0, -1, 255, 65536, 9223372036854775807,"
                        + " -9223372036854775808], 'reals': [0.1, -1e+300, inf, 5e-324],"
                        + " 7: [[], {}, True, False], -1: None}\n");
    }

    @Test
    void weReadPythonsContainersAndItsFilesWithoutChecksums() throws Exception {
        for (boolean checksums : new boolean[] {true, false}) {
            Python.run("torch", """
                    import collections, sys, torch
                    torch.serialization.set_crc32_options(sys.argv[2] == "true")
                    shared = [1, 2]
                    torch.save({"ordered": collections.OrderedDict([("b", 1), ("a", 2)]), "tuple": (1, (), (2.5, None)),
                                "twice": [shared, shared], 3: torch.arange(3), "big": 2**62, "false": False}, sys.argv[1])
                    """, file, checksums);
            Map<?, ?> read = (Map<?, ?>) TorchFile.load(file);
            assertThat(((Map<?, ?>) read.get("ordered")).keySet().toArray()).containsExactly("b", "a");
            assertThat(read.get("tuple")).isEqualTo(List.of(1L, List.of(), Arrays.asList(2.5, null)));
            assertThat(read.get("twice")).isEqualTo(List.of(List.of(1L, 2L), List.of(1L, 2L)));
            assertThat(((Tensor) read.get(3L)).toLongs()).containsExactly(0, 1, 2);
            assertThat(read.get("big")).isEqualTo(1L << 62);
            assertThat(read.get("false")).isEqualTo(false);
        }
    }

    @Test
    void pythonsOtherObjectsAreRefused() throws Exception {
        String output = Python.run("torch", """
                import sys, torch
                values = [{1, 2}, 2**64, b'bytes', {(1, 2): 3}, torch.float32, complex(1, 2)]
                for i, value in enumerate(values):
                    torch.save({"a": value}, f"{sys.argv[1]}/{i}.pt")
                print(len(values))
                """, folder);
        for (int i = 0; i < Integer.parseInt(output.strip()); i++) {
            Path other = folder.resolve(i + ".pt");
            assertThatThrownBy(() -> TorchFile.load(other))
                    .isInstanceOf(UnsupportedException.class)
                    .hasMessageContaining(other.toString());
        }
    }

    // ---- pickles that nobody writes ----

    private Throwable loading(byte[] pickle) throws IOException {
        TorchFile.save(file, 1L);
        Files.write(file, TorchFiles.withPickle(file, pickle));
        return catchThrowable(() -> TorchFile.load(file));
    }

    @Test
    void listThatHoldsItselfAsAKeyIsRefused() throws Exception {
        // }  ]q\0 h\0 a  N s .: a dict whose key is a list that holds itself
        assertThat(loading("}]q\0h\0aNs.".getBytes(StandardCharsets.ISO_8859_1)))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("key");
        assertThat(loading("}(]q\0h\0aNu.".getBytes(StandardCharsets.ISO_8859_1)))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("key");
    }

    @Test
    void smallFileThatDescribesAHugeValueIsReadInItsOwnSize() throws Exception {
        // Each list holds the one before twice: 2 to the 60 ones, written out.
        var pickle = new StringBuilder("K\u0001q\0");
        for (int i = 0; i < 60; i++) {
            pickle.append("]q")
                    .append((char) (i + 1))
                    .append("h")
                    .append((char) i)
                    .append("ah")
                    .append((char) i)
                    .append("a");
        }
        assertThat(loading(pickle.append('.').toString().getBytes(StandardCharsets.ISO_8859_1)))
                .isNull();
        Object value = TorchFile.load(file);
        for (int i = 0; i < 60; i++) {
            assertThat(((List<?>) value).get(0)).isSameAs(i < 59 ? ((List<?>) value).get(1) : 1L);
            value = ((List<?>) value).getFirst();
        }
    }

    @Test
    void valueTooDeepIsRefused() throws Exception {
        assertThat(loading(("]".repeat(100_000) + "a".repeat(99_999) + ".").getBytes(StandardCharsets.ISO_8859_1)))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("levels deep");
    }

    @Test
    void recordsThatAreCompressedOrOverlapAreRefusedBeforeTheyAreRead() throws Exception {
        List<Object> tensors = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            tensors.add(Ops.zeros(DType.UINT8, 1 << 16));
        }
        TorchFile.save(file, tensors);
        Path small = folder.resolve("small.pt");
        Files.write(small, TorchFiles.compressed(file));
        assertThat(small).satisfies(path -> assertThat(Files.size(path)).isLessThan(100_000));
        assertThatThrownBy(() -> TorchFile.load(small))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("compressed");
        Files.write(small, TorchFiles.overlapping(file));
        assertThat(small).satisfies(path -> assertThat(Files.size(path)).isLessThan(100_000));
        assertThatThrownBy(() -> TorchFile.load(small))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("more than are left");
    }

    @Test
    void storageWhoseBytesWrapAroundIsRefused() throws Exception {
        TorchFile.save(file, Tensor.of(new float[0]));
        String pickle = new String(TorchFiles.pickle(file), StandardCharsets.ISO_8859_1);
        // The storage's number of elements, behind its device: 2 to the 62 floats are 2 to the 64 bytes.
        String wrapped = pickle.replaceFirst("(?s)(cpuq.)K\\x00", "$1\u008a\b\0\0\0\0\0\0\0@");
        assertThat(wrapped).isNotEqualTo(pickle);
        Files.write(file, TorchFiles.withPickle(file, wrapped.getBytes(StandardCharsets.ISO_8859_1)));
        assertThatThrownBy(() -> TorchFile.load(file))
                .isInstanceOf(CorruptDataException.class)
                .hasMessageContaining("elements");
    }

    @Test
    void fiveHundredDamagedFilesAreReadOrRefusedInOneWayOfOurOwn() throws Exception {
        TorchFile.save(file, sample(Ops.reshape(Ops.arange(200).to(DType.FLOAT32), 10, 20)));
        byte[] whole = Files.readAllBytes(file);
        byte[] pickle = TorchFiles.pickle(file);
        var random = new Random(20261123);
        List<Throwable> others = new ArrayList<>();
        int refused = 0;
        int read = 0;
        long before = Torch.liveHandles(Torch.Kind.TENSOR);
        Path damaged = folder.resolve("damaged.pt");
        for (int i = 0; i < 500; i++) {
            // The checksums find what is done to the file; so, in turn, the pickle is changed beneath them.
            byte[] bytes = i % 2 == 0 ? whole.clone() : pickle.clone();
            for (int flips = 1 + random.nextInt(3); flips > 0; flips--) {
                int at = random.nextInt(bytes.length);
                bytes[at] = (byte) (i % 3 == 0 ? bytes[at] ^ 1 << random.nextInt(8) : random.nextInt(256));
            }
            Files.write(damaged, i % 2 == 0 ? bytes : TorchFiles.withPickle(file, bytes));
            Throwable thrown = catchThrowable(() -> {
                try (var _ = new TensorScope()) {
                    TorchFile.load(damaged);
                }
            });
            if (thrown instanceof LanceTorchException) {
                refused++;
            } else if (thrown != null) {
                others.add(thrown);
            } else {
                read++;
            }
        }
        for (int length = 0; length < whole.length; length += 41) {
            Files.write(damaged, Arrays.copyOf(whole, length));
            assertThatThrownBy(() -> TorchFile.load(damaged)).isInstanceOf(CorruptDataException.class);
        }
        assertThat(others).isEmpty();
        assertThat(refused).isGreaterThan(200);
        assertThat(read).as("changed numbers and texts").isPositive();
        assertThat(Torch.liveHandles(Torch.Kind.TENSOR)).isEqualTo(before);
    }
}
