package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.testing.Devices;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Batches that are finished on a device: the same values as those that are finished by the decoder. */
class DeviceLoadingTest {
    private static final int SIZE = 16;
    private static final ImageTransform NORMALIZED = ImageTransform.resize(SIZE, SIZE)
            .normalize(new float[] {0.485f, 0.456f, 0.406f}, new float[] {0.229f, 0.224f, 0.225f});

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        dataset = TestImages.grays(folder.resolve("grays.lance"), 50, 20, Set.of(7, 33));
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    private static List<Device> devices() {
        return Devices.all();
    }

    private static DataLoader.Builder loader(ImageTransform transform) {
        return DataLoader.of(dataset)
                .image("image", transform)
                .badRows(BadRows.SUBSTITUTE)
                .batchSize(16)
                .prefetch(3);
    }

    private static List<float[]> pixels(DataLoader.Builder builder, Device expected) {
        List<float[]> all = new ArrayList<>();
        try (DataLoader loader = builder.open()) {
            for (int epoch = 0; epoch < 2; epoch++) {
                for (Batch batch : loader) {
                    Tensor images = batch.get("image");
                    assertThat(images.dtype()).isEqualTo(DType.FLOAT32);
                    assertThat(images.device().type()).isEqualTo(expected.type());
                    assertThat(images.strides()).containsExactly(3 * SIZE * SIZE, 1, 3 * SIZE, 3);
                    try (Tensor mask = batch.mask()) {
                        assertThat(mask.device().type()).isEqualTo(expected.type());
                    }
                    all.add(images.toFloats());
                }
            }
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource("devices")
    void imagesThatTravelAsBytesBecomeTheSameFloats(Device device) {
        for (ImageTransform transform : List.of(NORMALIZED, ImageTransform.resize(SIZE, SIZE))) {
            List<float[]> expected = pixels(loader(transform), Device.CPU);
            List<float[]> converted = pixels(loader(transform).device(device).convertOnDevice(true), device);
            List<float[]> copied = pixels(loader(transform).device(device).convertOnDevice(false), device);
            assertThat(converted).hasSameSizeAs(expected);
            for (int i = 0; i < expected.size(); i++) {
                assertThat(converted.get(i)).containsExactly(expected.get(i), within(device == Device.CPU ? 0 : 1e-6f));
                assertThat(copied.get(i)).containsExactly(expected.get(i));
            }
        }
        assertThat(Torch.liveHandles(Torch.Kind.EVENT)).isZero();
        assertThat(Torch.liveHandles(Torch.Kind.STREAM)).isZero();
    }

    @Test
    void bytesStayBytesAndACollateGetsItsFloats() {
        try (DataLoader bytes = loader(ImageTransform.resize(SIZE, SIZE).uint8())
                .convertOnDevice(true)
                .open()) {
            assertThat(bytes.iterator().next().get("image").dtype()).isEqualTo(DType.UINT8);
        }
        assertThatThrownBy(() -> loader(NORMALIZED)
                        .collate(Batch::tensors)
                        .convertOnDevice(true)
                        .open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("collate");
    }

    @Test
    void aDeviceThatIsNotThereIsRefusedWhenTheLoaderIsOpened() {
        assertThatThrownBy(() -> loader(NORMALIZED).device(Device.cuda(126)).open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContaining("cuda:126");
    }

    @Test
    void aBatchCanBeMadeOfTensors() {
        SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
        try (var _ = new TensorScope()) {
            tensors.put("image", Ops.zeros(DType.FLOAT32, 4, 3));
            tensors.put("label", Ops.zeros(DType.INT64, 4));
            try (Batch batch = Batch.of(tensors)) {
                assertThat(batch.rows()).isEqualTo(4);
                assertThat(batch.validRows()).isEqualTo(4);
                assertThat(batch.get("label").shape()).containsExactly(4);
            }
            tensors.put("image", Ops.zeros(DType.FLOAT32, 4, 3));
            tensors.put("label", Ops.zeros(DType.INT64, 5));
            assertThatThrownBy(() -> Batch.of(tensors)).isInstanceOf(InvalidArgumentException.class);
        }
    }
}
