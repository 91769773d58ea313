package io.lancetorch.cookbook;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.Store;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each recipe of the cookbook, on 40 images of 4 classes in 4 fragments, or on embeddings. */
class RecipesTest {
    private static final int CLASSES = 4;
    private static final int IMAGES = 40;
    private static final long SUM_OF_LABELS = IMAGES / CLASSES * (0 + 1 + 2 + 3);

    @TempDir
    private static Path folder;

    private static Path photos;
    private static LanceDataset dataset;

    @BeforeAll
    static void writeImages() throws IOException {
        photos = folder.resolve("photos");
        for (int label = 0; label < CLASSES; label++) {
            Path ofClass = Files.createDirectories(photos.resolve("class-" + label));
            for (int i = 0; i < IMAGES / CLASSES; i++) {
                byte[] pixels = new byte[24 * 32 * 3];
                Arrays.fill(pixels, (byte) (60 * label + i));
                Files.write(ofClass.resolve(i + ".jpg"), ImageCodec.encodeJpeg(pixels, 24, 32, 90));
            }
        }
        dataset = inFragments(folder.resolve("four.lance"), 10);
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    /** The images as the recipe wrote them, in fragments of so many rows. */
    private static LanceDataset inFragments(Path uri, int rows) throws IOException {
        Path whole = folder.resolve("whole-" + uri.getFileName());
        ImagesFromFolders.write(photos, whole.toString());
        try (LanceDataset written = LanceDataset.open(whole.toString());
                var scan = written.scan().open();
                LanceWriter writer = LanceWriter.to(uri.toString(), written.schema())
                        .maxRowsPerFile(rows)
                        .open()) {
            for (var batch = scan.next(); batch != null; batch = scan.next()) {
                writer.write(batch);
                batch.close();
            }
            writer.finish();
        }
        return LanceDataset.open(uri.toString());
    }

    private static long[] labels(DataLoader loader) {
        var labels = LongStream.builder();
        for (Batch batch : loader) {
            long[] values = batch.get("label").toLongs();
            for (int row = 0; row < values.length; row++) {
                if (batch.isValid(row)) {
                    labels.add(values[row]);
                }
            }
        }
        return labels.build().toArray();
    }

    @Test
    void imagesOfFoldersAreWrittenClassByClass() throws Exception {
        String uri = folder.resolve("photos.lance").toString();
        assertThat(ImagesFromFolders.write(photos, uri)).isEqualTo(1);
        try (LanceDataset written = LanceDataset.open(uri)) {
            assertThat(written.countRows()).isEqualTo(IMAGES);
            assertThat(written.countRows("label = 3")).isEqualTo(IMAGES / CLASSES);
        }
    }

    @Test
    void shuffledRowsComeOnceInAnotherOrderEachEpoch() {
        try (DataLoader loader = ShuffledRows.open(dataset)) {
            long[] first = labels(loader);
            loader.setEpoch(1);
            long[] second = labels(loader);
            assertThat(first).hasSize(IMAGES).isNotEqualTo(second);
            assertThat(LongStream.of(first).sum())
                    .isEqualTo(LongStream.of(second).sum())
                    .isEqualTo(SUM_OF_LABELS);
        }
    }

    @Test
    void twoRanksStreamAllFragmentsBetweenThem() {
        long first = StreamedFragments.sumOfLabels(dataset, 0, 2);
        long second = StreamedFragments.sumOfLabels(dataset, 1, 2);
        assertThat(first + second).isEqualTo(SUM_OF_LABELS);
        assertThat(first).isPositive().isLessThan(SUM_OF_LABELS);
    }

    @Test
    void ranksUnderTheLauncherTrainTogether() throws Exception {
        List<String> java = List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-Dlancetorch.native=" + System.getProperty("lancetorch.native"),
                "-classpath",
                System.getProperty("java.class.path"));
        List<String> launch = Stream.of(
                        java.stream(),
                        Stream.of("io.lancetorch.examples.Main", "launch", "--nproc-per-node=2", "--"),
                        java.stream(),
                        Stream.of("io.lancetorch.cookbook.TrainRanks", dataset.uri()))
                .flatMap(part -> part)
                .toList();
        Path log = folder.resolve("ranks.log");
        Process process = new ProcessBuilder(launch)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        assertThat(process.waitFor()).as(Files.readString(log)).isZero();
        assertThat(Files.readString(log))
                .contains("rank 0, epoch 0: loss ", "rank 1, epoch 0: loss ")
                .contains("rank 0, epoch 1: loss ", "rank 1, epoch 1: loss ");
    }

    @Test
    void aFilterAndASplitLoadTheirRowsAlone() {
        try (DataLoader few = FilteredParts.fewClasses(dataset);
                DataLoader training = FilteredParts.open(dataset, true);
                DataLoader validation = FilteredParts.open(dataset, false)) {
            assertThat(labels(few)).hasSize(30).doesNotContain(3);
            assertThat(labels(training)).hasSize(36);
            assertThat(labels(validation)).containsExactly(0, 1, 2, 3);
        }
    }

    @Test
    void trainingImagesAreRandomAndThoseToMeasureOnAreNot() {
        assertThat(Augmentation.training().isRandom()).isTrue();
        assertThat(Augmentation.evaluation().isRandom()).isFalse();
        for (ImageTransform transform : List.of(Augmentation.training(), Augmentation.evaluation())) {
            try (DataLoader loader = DataLoader.of(dataset)
                    .image("image", transform)
                    .batchSize(4)
                    .open()) {
                assertThat(loader.iterator().next().get("image").shape()).containsExactly(4, 3, 224, 224);
            }
        }
    }

    @Test
    void imagesAreDecodedInTheFirstEpochAlone() throws Exception {
        try (LanceDataset own = inFragments(folder.resolve("cached.lance"), 40)) {
            for (int epoch = 0; epoch < 2; epoch++) {
                try (DataLoader loader = DecodedOnce.open(own)) {
                    loader.setEpoch(epoch);
                    assertThat(labels(loader)).hasSize(IMAGES);
                    long decoding = loader.stats().decodeNanos();
                    assertThat(decoding > 0).as("epoch %d", epoch).isEqualTo(epoch == 0);
                }
            }
        }
    }

    @Test
    void aMixKeepsItsRatioAlsoWhereItIsResumed() {
        try (DataLoader photos = ShuffledRows.open(dataset);
                DataLoader drawings = ShuffledRows.open(dataset)) {
            assertThat(MixedRatio.steps(photos, drawings, 40)).isEqualTo(Map.of("photos", 30, "drawings", 10));
        }
    }

    @Test
    void aRunThatWasStoppedEndsAsOneThatWasNot() throws Exception {
        float[] whole = trained(folder.resolve("whole"), 4);
        Path parts = folder.resolve("parts");
        trained(parts, 3);
        assertThat(trained(parts, 4)).isEqualTo(whole);
    }

    private static float[] trained(Path checkpoints, int steps) throws IOException {
        Files.createDirectories(checkpoints);
        try (var _ = new TensorScope();
                DataLoader loader = DataLoader.of(dataset)
                        .image("image", ImageTransform.resize(16, 16))
                        .batchSize(10)
                        .open()) {
            Tensor weight = Ops.zeros(DType.FLOAT32, CLASSES, 3 * 16 * 16).requiresGrad(true);
            ResumedRun.train(loader, weight, checkpoints, steps);
            return weight.detach().toFloats();
        }
    }

    @Test
    void mixupMixesImagesAndLabels() {
        try (DataLoader loader = OneHotMixup.open(dataset);
                var _ = new TensorScope()) {
            Batch batch = loader.iterator().next();
            assertThat(batch.get("image").shape()).containsExactly(32, 3, 64, 64);
            // Row 0 is of class 0, its counterpart, row 31, of class 3.
            float[] target = Ops.narrow(batch.get("target"), 0, 0, 1).toFloats();
            assertThat(target).hasSize(10).startsWith(0.8f, 0, 0);
            assertThat(target[3]).isBetween(0.199f, 0.201f);
        }
    }

    @Test
    void aLinearClassifierLearnsEmbeddings() {
        String uri = folder.resolve("embeddings.lance").toString();
        EmbeddingClassifier.write(uri, 400, 32);
        try (LanceDataset embeddings = LanceDataset.open(uri)) {
            assertThat(EmbeddingClassifier.train(embeddings, 32)).isGreaterThan(0.95);
        }
    }

    @Test
    void arrowsVectorsAndTensorsHaveTheSameValues() throws Exception {
        assertThat(ArrowVectors.sumOfLabels(dataset)).isEqualTo(SUM_OF_LABELS);
    }

    @Test
    void thePresetsComputeOnTheSameMemory() {
        try (var _ = new TensorScope()) {
            assertThat(PresetsTensors.sigmoid(Tensor.of(new float[] {0, 100}, 2))
                            .toFloats())
                    .containsExactly(0.5f, 1);
        }
    }

    @Test
    void operatorsAreCalledByTheirNames() {
        try (var _ = new TensorScope()) {
            Tensor x = Tensor.of(new float[] {0, 10, 5}, 3);
            assertThat(AnyOperator.gelu(x).toFloats()).containsExactly(new float[] {0, 10, 5}, within(1e-5f));
            assertThat(AnyOperator.largest(x, 2).toFloats()).containsExactly(10, 5);
        }
    }

    @Test
    void aModelThatWasSavedIsReadBack() {
        Path file = folder.resolve("linear.pt");
        try (var _ = new TensorScope()) {
            ModelForPython.save(file, Ops.ones(DType.FLOAT32, 2, 3), Ops.zeros(DType.FLOAT32, 2));
            Tensor weight = Ops.zeros(DType.FLOAT32, 2, 3);
            ModelForPython.load(file, weight, Ops.ones(DType.FLOAT32, 2));
            assertThat(weight.toFloats()).containsOnly(1);
        }
    }

    @Test
    void eachRowOfUnevenShardsCountsOnce() throws Exception {
        String uri = folder.resolve("uneven.lance").toString();
        EmbeddingClassifier.write(uri, 50, 8);
        try (LanceDataset written = LanceDataset.open(uri);
                var scan = written.scan().open();
                LanceWriter writer = LanceWriter.to(uri + "s", written.schema())
                        .maxRowsPerFile(30) // 30 rows for rank 0, 20 for rank 1
                        .open()) {
            for (var batch = scan.next(); batch != null; batch = scan.next()) {
                writer.write(batch);
                batch.close();
            }
            writer.finish();
        }
        Duration patience = Duration.ofSeconds(60);
        try (LanceDataset uneven = LanceDataset.open(uri + "s");
                Store server = Store.tcp("127.0.0.1", 0, true, 2, patience);
                var threads = Executors.newFixedThreadPool(2)) {
            List<Future<Long>> ranks =
                    threads.invokeAll(List.of(rank(server, 0, patience, uneven), rank(server, 1, patience, uneven)));
            assertThat(List.of(ranks.get(0).get(), ranks.get(1).get())).containsExactlyInAnyOrder(30L, 20L);
        }
    }

    private static Callable<Long> rank(Store server, int rank, Duration patience, LanceDataset uneven) {
        return () -> {
            try (Store store = Store.tcp("127.0.0.1", server.port(), false, 2, patience);
                    var group = ProcessGroup.gloo(store, rank, 2, "127.0.0.1", patience);
                    var _ = new TensorScope()) {
                Tensor weight = Ops.zeros(DType.FLOAT32, 2, 8).requiresGrad(true);
                return UnevenShards.train(group, uneven, weight);
            }
        };
    }

    @Test
    void ranksThatShareAModelReadTheSameRows() {
        List<List<Long>> rows = new ArrayList<>();
        for (int rank = 0; rank < 4; rank++) {
            try (DataLoader loader = SharedModel.open(dataset, rank, 4, 2)) {
                rows.add(LongStream.of(labels(loader)).boxed().toList());
            }
        }
        assertThat(rows.get(0)).hasSize(IMAGES / 2).isEqualTo(rows.get(1)).isNotEqualTo(rows.get(2));
        assertThat(rows.get(2)).isEqualTo(rows.get(3));
    }

    @Test
    void sharesThatAreWrittenApartAppearWithTheCommit() {
        String uri = folder.resolve("apart.lance").toString();
        List<String> parts = List.of(FragmentsApart.writeShare(uri, 0, 30), FragmentsApart.writeShare(uri, 30, 50));
        FragmentsApart.commit(uri, parts);
        try (LanceDataset written = LanceDataset.open(uri)) {
            assertThat(written.countRows()).isEqualTo(50);
            assertThat(written.countRows("id >= 30")).isEqualTo(20);
        }
    }

    @Test
    void aTrackedRunIsReadBack() throws Exception {
        Path run = Files.createDirectory(folder.resolve("run"));
        TrackedLoss.track(run, new double[] {0.5, 0.25});
        assertThat(Files.readString(run.resolve("metrics.jsonl"))).contains("0.5", "0.25", "lr");
        try (Stream<Path> files = Files.list(run.resolve("tensorboard"))) {
            assertThat(files).hasSize(1);
        }
    }

    @Test
    void theLoaderTellsHowLongItMadeTheTrainerWait() throws Exception {
        try (DataLoader loader = ShuffledRows.open(dataset)) {
            assertThat(MeasuredLoader.longestWait(loader, folder.resolve("run.jfr")))
                    .isPositive();
        }
    }
}
