package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.testing.TestImages;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a loader does not do for each batch: allocate. */
@Timeout(60)
class SteadyStateTest {
    private static final int ROWS = 4000;

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        dataset = TestImages.grays(folder.resolve("data.lance"), ROWS, 500, Set.of());
    }

    @AfterAll
    static void closeDataset() {
        dataset.close();
    }

    private static long heapBytesPerBatch(DataLoader loader) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        Iterator<Batch> batches = loader.iterator();
        for (int i = 0; i < 100; i++) {
            batches.next();
        }
        long before = threads.getTotalThreadAllocatedBytes();
        int count = 0;
        while (batches.hasNext()) {
            batches.next();
            count++;
        }
        assertThat(count).isGreaterThan(300);
        return (threads.getTotalThreadAllocatedBytes() - before) / count;
    }

    @Test
    void batchOfImagesCostsLittleHeap() {
        try (var loader = DataLoader.of(dataset)
                .image("image", ImageTransform.resize(8, 8))
                .batchSize(8)
                .decodeThreads(2)
                .open()) {
            heapBytesPerBatch(loader);
            assertThat(heapBytesPerBatch(loader)).isLessThan(4096);
        }
    }

    @Test
    void batchOfNumbersCostsLittleHeap() {
        try (var loader = DataLoader.of(dataset).columns("id").batchSize(8).open()) {
            heapBytesPerBatch(loader);
            assertThat(heapBytesPerBatch(loader)).isLessThan(4096);
        }
    }

    @Test
    void memoryOfImagesIsUsedAgain() {
        Set<Long> addresses = new HashSet<>();
        try (var loader = DataLoader.of(dataset)
                .image("image", ImageTransform.resize(8, 8))
                .batchSize(8)
                .prefetch(3)
                .open()) {
            for (int epoch = 0; epoch < 3; epoch++) {
                for (Batch batch : loader) {
                    addresses.add(batch.get("image").dataPointer());
                }
            }
        }
        assertThat(addresses).as("one in use and three ahead").hasSizeLessThanOrEqualTo(4);
    }

    @Test
    void memoryThatSomebodyUsesIsLeftAlone() {
        try (var loader = DataLoader.of(dataset)
                .columns("image", "id")
                .image("image", ImageTransform.resize(8, 8))
                .batchSize(10)
                .open()) {
            Iterator<Batch> batches = loader.iterator();
            Batch detached = batches.next().detach();
            Tensor view = Ops.narrow(batches.next().get("image"), 0, 3, 1);
            while (batches.hasNext()) {
                batches.next();
            }
            try (detached;
                    view) {
                assertThat(view.toFloats()[0] * 255).isBetween(11f, 15f);
                assertThat(detached.get("image").toFloats()[9 * 192] * 255).isBetween(7f, 11f);
            }
        }
    }
}
