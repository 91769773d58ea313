package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class AugmentationTest {
    private static final int ROWS = 60;
    private static final int SIDE = 16;
    private static final float[] MEAN = {0.485f, 0.456f, 0.406f};
    private static final float[] DEVIATION = {0.229f, 0.224f, 0.225f};

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("ramps.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id"), Field.binary("image")))
                .maxRowsPerFile(25)
                .open()) {
            for (int i = 0; i < ROWS; i++) {
                writer.append((long) i, TestImages.ramp(96 + i, 128, 4 * i));
            }
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterAll
    static void closeDataset() {
        dataset.close();
    }

    private static DataLoader.Builder loader(ImageTransform transform) {
        return DataLoader.of(dataset).image("image", transform).batchSize(16).seed(3);
    }

    /** The pixels of each row of an epoch, by id. */
    private static TreeMap<Long, String> epoch(DataLoader loader, int epoch) {
        loader.setEpoch(epoch);
        var images = new TreeMap<Long, String>();
        for (Batch batch : loader) {
            long[] ids = batch.get("id").toLongs();
            float[] pixels = batch.get("image").toFloats();
            int size = pixels.length / ids.length;
            for (int row = 0; row < batch.rows(); row++) {
                if (batch.isValid(row)) {
                    images.put(ids[row], Arrays.toString(Arrays.copyOfRange(pixels, row * size, (row + 1) * size)));
                }
            }
        }
        return images;
    }

    @Test
    void whatIsRandomFollowsFromSeedEpochAndRowAlone() {
        ImageTransform transform =
                ImageTransform.randomResizedCrop(SIDE, SIDE).flip(0.5).normalize(MEAN, DEVIATION);
        TreeMap<Long, String> first;
        try (var loader = loader(transform).decodeThreads(1).open()) {
            first = epoch(loader, 2);
            assertThat(first).hasSize(ROWS);
            assertThat(epoch(loader, 3)).isNotEqualTo(first);
            assertThat(epoch(loader, 2)).isEqualTo(first);
        }
        for (int threads : new int[] {2, 8}) {
            try (var loader =
                    loader(transform).decodeThreads(threads).prefetch(threads).open()) {
                assertThat(epoch(loader, 2)).as("%d threads", threads).isEqualTo(first);
            }
        }
        for (Sampler sampler : new Sampler[] {new DistributedSampler(), new ShardedFragmentSampler()}) {
            try (var loader = loader(transform).sampler(sampler).batchSize(7).open()) {
                assertThat(epoch(loader, 2)).as("%s", sampler).isEqualTo(first);
            }
            var ofRanks = new TreeMap<Long, String>();
            for (int rank = 0; rank < 3; rank++) {
                try (var loader = loader(transform)
                        .sampler(sampler)
                        .rank(rank, 3)
                        .mapStyle()
                        .open()) {
                    ofRanks.putAll(epoch(loader, 2));
                }
            }
            assertThat(ofRanks).as("%s on 3 ranks", sampler).isEqualTo(first);
        }
        try (var loader = loader(transform).seed(4).open()) {
            assertThat(epoch(loader, 2)).isNotEqualTo(first);
        }
    }

    /** Red and green of the middle of the left, right, upper and lower edge tell which part was taken. */
    private static float[][] edges(ImageTransform transform, int row) {
        try (var loader = loader(transform).batchSize(ROWS).open()) {
            float[] all = loader.iterator().next().get("image").toFloats();
            int plane = SIDE * SIDE;
            int at = row * 3 * plane;
            int middle = SIDE / 2;
            return new float[][] {
                {all[at + middle * SIDE], all[at + middle * SIDE + SIDE - 1]},
                {all[at + plane + middle], all[at + plane + (SIDE - 1) * SIDE + middle]}
            };
        }
    }

    @Test
    void centerCropTakesTheMiddle() {
        // Row 32 is 128 x 128: scaled to 32, of which the middle 16 go from a quarter to three quarters.
        float[][] edges = edges(ImageTransform.centerCrop(32, SIDE, SIDE), 32);
        for (float[] edge : edges) {
            assertThat(edge[0]).isBetween(0.24f, 0.29f);
            assertThat(edge[1]).isBetween(0.71f, 0.76f);
        }
    }

    @Test
    void flipMirrorsLeftToRight() {
        float[][] plain = edges(ImageTransform.resize(SIDE, SIDE), 5);
        float[][] mirrored = edges(ImageTransform.resize(SIDE, SIDE).flip(1), 5);
        assertThat(mirrored[0]).containsExactly(plain[0][1], plain[0][0]);
        assertThat(mirrored[1]).as("and not up and down").containsExactly(plain[1]);
    }

    @Test
    void wholeAreaAndRatioAreTheWholeImage() {
        ImageTransform whole =
                ImageTransform.randomResizedCrop(SIDE, SIDE).scale(1, 1).ratio(1, 1);
        // Row 32 is a square.
        assertThat(edges(whole, 32)).isDeepEqualTo(edges(ImageTransform.resize(SIDE, SIDE), 32));
    }

    @Test
    void normalizedValuesAreOfTheMeanAndDeviation() {
        try (var plain = loader(ImageTransform.resize(SIDE, SIDE)).open();
                var normalized = loader(ImageTransform.resize(SIDE, SIDE).normalize(MEAN, DEVIATION))
                        .open()) {
            float[] expected = plain.iterator().next().get("image").toFloats();
            float[] values = normalized.iterator().next().get("image").toFloats();
            for (int i = 0; i < values.length; i++) {
                int channel = i / (SIDE * SIDE) % 3;
                assertThat(values[i]).isCloseTo((expected[i] - MEAN[channel]) / DEVIATION[channel], within(1e-5f));
            }
        }
    }

    private static org.assertj.core.data.Offset<Float> within(float offset) {
        return org.assertj.core.data.Offset.offset(offset);
    }

    @Test
    void fastImagesAreCloseToWhole() {
        try (var exact = loader(ImageTransform.resize(SIDE, SIDE)).open();
                var fast = loader(ImageTransform.resize(SIDE, SIDE).fast()).open()) {
            float[] expected = exact.iterator().next().get("image").toFloats();
            float[] values = fast.iterator().next().get("image").toFloats();
            double sum = 0;
            for (int i = 0; i < values.length; i++) {
                sum += Math.abs(values[i] - expected[i]);
            }
            assertThat(sum / values.length).isBetween(0.0, 0.02);
        }
    }

    @Test
    void wrongTransformsAreRefused() {
        ImageTransform crop = ImageTransform.randomResizedCrop(8, 8);
        assertThatThrownBy(() -> crop.scale(0, 1)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.scale(0.5, 0.4)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.scale(0.5, Double.NaN)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.ratio(0, 1)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.flip(1.1)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.flip(Double.NaN)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> ImageTransform.resize(8, 8).scale(0.5, 1))
                .isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> ImageTransform.centerCrop(7, 8, 8)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.normalize(new float[2], DEVIATION)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.normalize(MEAN, new float[3]))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("channel 0");
        assertThatThrownBy(() -> crop.uint8().normalize(MEAN, DEVIATION)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> crop.maxPixels(0)).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> ImageTransform.resize(1 << 20, 8)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void transformIsDescribedInWords() {
        assertThat(ImageTransform.randomResizedCrop(224, 200).flip(0.5).uint8().fast())
                .hasToString("randomResizedCrop(224, 200).scale(0.08, 1.0).ratio(0.75, 1.3333333333333333).flip(0.5)"
                        + ".uint8().fast()");
        assertThat(ImageTransform.centerCrop(256, 224, 224).applyOrientation().maxPixels(9))
                .hasToString("centerCrop(256, 224, 224).applyOrientation().maxPixels(9)");
        assertThat(ImageTransform.randomResizedCrop(8, 8).isRandom()).isTrue();
        assertThat(ImageTransform.resize(8, 8).flip(1).isRandom()).isFalse();
        assertThat(ImageTransform.resize(8, 8).flip(0.3).isRandom()).isTrue();
    }
}
