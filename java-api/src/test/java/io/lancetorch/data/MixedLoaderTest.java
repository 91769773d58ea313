package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.checkpoint.Checkpoint;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Several datasets in a declared ratio. */
class MixedLoaderTest {
    private static final int BATCH = 2;

    @TempDir
    private static Path folder;

    /** Of 5, 12 and 7 rows, whose ids are 1,000, 2,000, 3,000 and on. */
    private static final List<LanceDataset> DATASETS = new ArrayList<>();

    private final List<DataLoader> loaders = new ArrayList<>();

    @BeforeAll
    static void write() {
        int[] sizes = {5, 12, 7};
        for (int i = 0; i < sizes.length; i++) {
            String uri = folder.resolve(i + ".lance").toString();
            try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id"))).open()) {
                for (long row = 0; row < sizes[i]; row++) {
                    writer.append(1_000L * (i + 1) + row);
                }
                writer.finish();
            }
            DATASETS.add(LanceDataset.open(uri));
        }
    }

    @AfterAll
    static void close() {
        DATASETS.forEach(LanceDataset::close);
        DATASETS.clear();
    }

    @AfterEach
    void closeLoaders() {
        loaders.forEach(DataLoader::close);
    }

    private MixedLoader mix(int rank, int world, double... weights) {
        MixedLoader.Builder builder = MixedLoader.builder();
        for (int i = 0; i < weights.length; i++) {
            DataLoader loader = DataLoader.of(DATASETS.get(i % DATASETS.size()))
                    .sampler(new DistributedSampler())
                    .batchSize(BATCH)
                    .rank(rank, world)
                    .seed(i)
                    .open();
            loaders.add(loader);
            builder.add("set " + i, loader, weights[i]);
        }
        return builder.build();
    }

    private static List<String> read(MixedLoader mix, long steps) {
        List<String> read = new ArrayList<>();
        for (MixedBatch mixed : mix.steps(steps)) {
            read.add(mixed.source() + Arrays.toString(mixed.batch().get("id").toLongs()));
        }
        return read;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void anyThousandStepsHaveTheDeclaredRatioWithinOnePercent(long seed) {
        var random = new Random(seed);
        double[] weights = random.doubles(2 + random.nextInt(4), 0.01, 1).toArray();
        double total = Arrays.stream(weights).sum();
        MixedLoader mix = mix(0, 1, weights);
        List<String> sources = new ArrayList<>();
        for (MixedBatch mixed : mix.steps(2_500)) {
            sources.add(mixed.source());
        }
        for (int begin = 0; begin + 1_000 <= sources.size(); begin += 50) {
            Map<String, Integer> counts = new HashMap<>();
            sources.subList(begin, begin + 1_000).forEach(source -> counts.merge(source, 1, Integer::sum));
            for (int i = 0; i < weights.length; i++) {
                assertThat((double) counts.getOrDefault("set " + i, 0))
                        .as("share of %d from step %d on", i, begin)
                        .isBetween(1_000 * weights[i] / total - 2, 1_000 * weights[i] / total + 2);
            }
        }
    }

    @Test
    void eachSetComesWholeInEachOfItsEpochsAndInAnotherOrder() {
        List<Long> ofFirst = new ArrayList<>();
        for (MixedBatch mixed : mix(0, 1, 1, 3).steps(400)) {
            if (mixed.source().equals("set 0")) {
                Batch batch = mixed.batch();
                long[] ids = batch.get("id").toLongs();
                for (int row = 0; row < batch.validRows(); row++) {
                    ofFirst.add(ids[row]);
                }
            }
        }
        assertThat(ofFirst.size()).isGreaterThan(160);
        List<List<Long>> epochs = new ArrayList<>();
        for (int at = 0; at + 5 <= ofFirst.size(); at += 5) {
            List<Long> epoch = ofFirst.subList(at, at + 5);
            assertThat(epoch).containsExactlyInAnyOrder(1_000L, 1_001L, 1_002L, 1_003L, 1_004L);
            epochs.add(epoch);
        }
        assertThat(epochs.stream().distinct().count()).isGreaterThan(10);
    }

    @Test
    void aMixThatIsStoppedAnywhereGoesOnAtTheVeryNextBatch() {
        List<String> whole = read(mix(0, 1, 5, 2, 1), 120);
        for (int stop = 0; stop < 60; stop++) {
            MixedLoader stopped = mix(0, 1, 5, 2, 1);
            assertThat(read(stopped, stop)).isEqualTo(whole.subList(0, stop));
            MixState state = MixState.fromMap(stopped.state().toMap());
            assertThat(state).isEqualTo(stopped.state());
            MixedLoader resumed = mix(0, 1, 5, 2, 1);
            resumed.resume(state);
            assertThat(read(resumed, 60)).as("from %d on", stop).isEqualTo(whole.subList(stop, stop + 60));
            closeLoaders();
        }
    }

    @Test
    void aCheckpointKeepsWhereAMixIs() {
        MixedLoader mix = mix(0, 1, 5, 2, 1);
        read(mix, 30);
        Path file = folder.resolve("mix.pt");
        try (var checkpoint = Checkpoint.after(30).loader(mix.state().toMap()).build()) {
            checkpoint.save(file);
        }
        try (var checkpoint = Checkpoint.load(file)) {
            assertThat(MixState.fromMap(checkpoint.loader())).isEqualTo(mix.state());
        }
    }

    @Test
    void allRanksTakeTheSameSetInTheSameStep() {
        List<List<String>> ofRanks = new ArrayList<>();
        for (int rank = 0; rank < 3; rank++) {
            List<String> sources = new ArrayList<>();
            for (MixedBatch mixed : mix(rank, 3, 1, 2, 4).steps(200)) {
                sources.add(mixed.source());
            }
            ofRanks.add(sources);
        }
        assertThat(ofRanks.get(1)).isEqualTo(ofRanks.get(0));
        assertThat(ofRanks.get(2)).isEqualTo(ofRanks.get(0));
    }

    @Test
    void whatCannotBeMixedIsRefused() {
        assertThatThrownBy(() -> MixedLoader.builder().build())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("no loaders");
        assertThatThrownBy(() -> mix(0, 1, 1, 0))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("weight of 0.0 for set 1");
        assertThatThrownBy(() -> mix(0, 1, 1, Double.NaN))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("NaN");
        MixedLoader two = mix(0, 1, 1, 1);
        MixState ofThree = mix(0, 1, 1, 1, 1).state();
        assertThatThrownBy(() -> two.resume(ofThree))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("set 2");
    }
}
