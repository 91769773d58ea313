package io.lancetorch.safety;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.error.OutOfMemoryException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.ChildJvm;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A process whose native memory is used up says so, and goes on with what it has. */
@Timeout(120)
class OutOfMemoryTest {
    private static final int SIDE = 12_000;

    @TempDir
    private Path folder;

    /** What runs with little memory. */
    public static final class Program {
        private Program() {}

        private static void decode(RecordBatch batch) {
            var decoder = new ImageDecoder(ImageTransform.resize(8, 8).uint8(), 0);
            try (var pixels = Tensor.empty(DType.UINT8, 8, 8, 3)) {
                decoder.decode(batch.column("image"), 0, 1, pixels.data());
                System.out.println("decoded " + pixels.toBytes()[0]);
            } catch (OutOfMemoryException e) {
                System.out.println("not decoded: " + e.getMessage());
            }
        }

        public static void main(String[] arguments) {
            try (var dataset = LanceDataset.open(arguments[0]);
                    var batch = dataset.take(new long[] {0}, "image")) {
                List<Tensor> tensors = new ArrayList<>();
                for (int round = 0; round < 3; round++) {
                    try {
                        while (true) {
                            tensors.add(Tensor.empty(DType.UINT8, 256 << 20));
                        }
                    } catch (OutOfMemoryException e) {
                        System.out.println("used up: " + (tensors.size() > 1) + ": " + e.getMessage());
                    }
                    try (var _ = new TensorScope()) {
                        System.out.println("sum "
                                + Ops.add(Tensor.of(new float[] {1}), Tensor.of(new float[] {2}))
                                        .item());
                    }
                    decode(batch);
                    Tensor.closeAll(tensors);
                    tensors.clear();
                    decode(batch);
                }
            }
        }
    }

    @Test
    void memoryThatIsUsedUpIsSaidAndTheProcessGoesOn() throws Exception {
        // 12,000 x 12,000 pixels in 20 KB: they take 576 MB while they are decoded.
        var png = new ByteArrayOutputStream();
        ImageIO.write(new BufferedImage(SIDE, SIDE, BufferedImage.TYPE_BYTE_BINARY), "png", png);
        String uri = folder.resolve("image.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.binary("image"))).open()) {
            writer.append(png.toByteArray());
            writer.finish();
        }
        List<String> told = ChildJvm.run("ulimit -v 4500000", Program.class, uri);
        for (int round = 0; round < 3; round++) {
            assertThat(told.get(4 * round)).startsWith("used up: true");
            assertThat(told.get(4 * round + 1)).isEqualTo("sum 3.0");
            assertThat(told.get(4 * round + 2)).startsWith("not decoded: ").contains("row 0");
            assertThat(told.get(4 * round + 3)).isEqualTo("decoded 0");
        }
        assertThat(told).hasSize(12);
    }
}
