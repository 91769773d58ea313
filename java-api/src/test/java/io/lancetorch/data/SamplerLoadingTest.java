package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.lance.Field;
import io.lancetorch.lance.Fragment;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every cell of the table of samplers, read from a dataset through a loader: what comes out is the plan's. */
class SamplerLoadingTest {
    private static final int[] SIZES = {17, 1, 40, 3};
    private static final int WORLD = 3;

    @TempDir
    static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("rows.lance").toString();
        long id = 0;
        for (int size : SIZES) {
            var target = LanceWriter.to(uri, Schema.of(Field.int64("id")))
                    .mode(id == 0 ? LanceWriter.Mode.CREATE : LanceWriter.Mode.APPEND);
            try (var writer = target.open()) {
                for (int row = 0; row < size; row++) {
                    writer.append(id++);
                }
                writer.finish();
            }
        }
        dataset = LanceDataset.open(uri);
        assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(17L, 1L, 40L, 3L);
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    static List<SamplerCase> cells() {
        return SamplerCase.all().stream()
                .filter(cell -> cell.deal().uneven() != Uneven.REFUSE)
                .toList();
    }

    @ParameterizedTest
    @MethodSource("cells")
    void rowsComeAsPlannedWhateverTheThreads(SamplerCase cell) {
        Map<Long, Long> starts = new HashMap<>();
        long rows = 0;
        for (Fragment fragment : dataset.fragments()) {
            starts.put(fragment.id(), rows);
            rows += fragment.rows();
        }
        Sampler sampler = cell.sampler(dataset.fragments());
        for (int rank = 0; rank < WORLD; rank++) {
            for (int threads : new int[] {1, 4}) {
                try (var loader = DataLoader.of(dataset)
                        .sampler(sampler)
                        .batchSize(5)
                        .rank(rank, WORLD)
                        .seed(9)
                        .decodeThreads(threads)
                        .open()) {
                    loader.setEpoch(2);
                    Plan plan = loader.plan();
                    int step = 0;
                    for (Batch batch : loader) {
                        List<Long> expected = new ArrayList<>();
                        plan.forEachRange(step, (fragment, begin, end) -> LongStream.range(begin, end)
                                .forEach(row -> expected.add(starts.get(fragment) + row)));
                        assertThat(batch.get("id").toLongs())
                                .as("rank %d, step %d", rank, step)
                                .containsExactly(expected.toArray(Long[]::new));
                        assertThat(batch.validRows()).isEqualTo(plan.validRows(step));
                        step++;
                    }
                    assertThat(step).isEqualTo(plan.steps()).isPositive();
                }
            }
        }
    }
}
