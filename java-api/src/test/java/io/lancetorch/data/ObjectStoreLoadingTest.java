package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.StorageException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.testing.FaultProxy;
import io.lancetorch.testing.S3Server;
import io.lancetorch.testing.TestImages;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Epochs read from a real object store, through a network that is cut, stalls and crawls. */
@Timeout(240)
class ObjectStoreLoadingTest {
    private static final int ROWS = 2000;
    private static final int BATCH = 20;
    private static final String URI = "s3://" + S3Server.BUCKET + "/training.lance";

    /** How rows come to this rank; each reads files in another way. */
    enum Order {
        STREAMED(new ShardedBatchSampler(false, Uneven.PAD)),
        SCATTERED(new DistributedSampler());

        private final Sampler sampler;

        Order(Sampler sampler) {
            this.sampler = sampler;
        }
    }

    @TempDir
    private static Path folder;

    private static S3Server server;
    private static FaultProxy proxy;

    /** The ids of an epoch in each order, as files of this machine give them. */
    private static final Map<Order, List<Long>> EXPECTED = new HashMap<>();

    private FaultProxy.Link link;

    @BeforeAll
    static void start() throws Exception {
        server = new S3Server(folder);
        proxy = new FaultProxy(folder);
        write(URI, S3Server.options(server.address()));
        String local = folder.resolve("training.lance").toString();
        write(local, Map.of());
        try (var dataset = LanceDataset.open(local)) {
            for (Order order : Order.values()) {
                try (var loader = loader(dataset, order).open()) {
                    EXPECTED.put(order, ids(loader));
                }
            }
        }
    }

    @AfterAll
    static void stop() throws Exception {
        try (var _ = server;
                var _ = proxy) {
            // Both, whatever happens to one.
        }
    }

    @BeforeEach
    void ownLink() throws Exception {
        link = proxy.link(server.address());
    }

    /** Rows of 16 KB, in fragments of 250: more than is read ahead. */
    private static void write(String uri, Map<String, String> options) {
        Schema schema = Schema.of(
                Field.int64("id"), Field.fixedSizeList("vector", Field.float32("item"), 4096), Field.binary("image"));
        try (var writer = LanceWriter.to(uri, schema)
                .storageOptions(options)
                .maxRowsPerFile(250)
                .open()) {
            float[] vector = new float[4096];
            for (int i = 0; i < ROWS; i++) {
                Arrays.fill(vector, i);
                writer.append((long) i, vector, TestImages.gray(i % 256));
            }
            writer.finish();
        }
    }

    private static DataLoader.Builder loader(LanceDataset dataset, Order order) {
        return DataLoader.of(dataset)
                .columns("id", "vector")
                .sampler(order.sampler)
                .batchSize(BATCH)
                .seed(5);
    }

    private LanceDataset open(String... options) {
        Map<String, String> all = new HashMap<>(S3Server.options(link.address()));
        for (int i = 0; i < options.length; i += 2) {
            all.put(options[i], options[i + 1]);
        }
        return LanceDataset.open(URI, all);
    }

    /** The ids of the rows that are left, whose vectors are checked. */
    private static List<Long> ids(Iterable<Batch> batches) {
        List<Long> ids = new ArrayList<>();
        batches.forEach(batch -> add(batch, ids));
        return ids;
    }

    private static void add(Batch batch, List<Long> ids) {
        long[] ofBatch = batch.get("id").toLongs();
        float[] vectors = batch.get("vector").toFloats();
        for (int row = 0; row < batch.rows(); row++) {
            assertThat(vectors[4096 * row]).isEqualTo(ofBatch[row]);
            assertThat(vectors[4096 * row + 4095]).isEqualTo(ofBatch[row]);
            ids.add(ofBatch[row]);
        }
    }

    private Thread mendAfter(Duration delay) {
        return Thread.ofPlatform().start(() -> {
            try {
                Thread.sleep(delay);
                link.mend();
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
    }

    @ParameterizedTest
    @EnumSource
    void anEpochIsTheOneOfFiles(Order order) {
        try (var dataset = open();
                var loader = loader(dataset, order).open()) {
            assertThat(ids(loader)).isEqualTo(EXPECTED.get(order));
        }
    }

    @ParameterizedTest
    @EnumSource
    void anOutageOfSecondsLosesNothing(Order order) throws Exception {
        try (var dataset = open();
                var loader = loader(dataset, order).open()) {
            List<Long> ids = new ArrayList<>();
            Thread mending = null;
            for (Batch batch : loader) {
                if (batch.step() == 20) {
                    link.cut();
                    mending = mendAfter(Duration.ofSeconds(3));
                }
                add(batch, ids);
            }
            assertThat(mending.isAlive())
                    .as("the epoch ended without the network")
                    .isFalse();
            assertThat(ids).isEqualTo(EXPECTED.get(order));
        }
    }

    @ParameterizedTest
    @EnumSource
    void connectionsThatEndInTheMiddleOfAnswersLoseNothing(Order order) throws Exception {
        link.endAfter(700_000);
        try (var dataset = open();
                var loader = loader(dataset, order).open()) {
            assertThat(ids(loader)).isEqualTo(EXPECTED.get(order));
        }
    }

    @ParameterizedTest
    @EnumSource
    void connectionsThatAreResetLoseNothing(Order order) throws Exception {
        link.reset(0.3, Duration.ofMillis(50));
        try (var dataset = open();
                var loader = loader(dataset, order).open()) {
            assertThat(ids(loader)).isEqualTo(EXPECTED.get(order));
        }
    }

    @ParameterizedTest
    @EnumSource
    void slowAnswersLoseNothing(Order order) throws Exception {
        try (var dataset = open();
                var loader = loader(dataset, order).open()) {
            link.slow(Duration.ofMillis(100), 2000);
            assertThat(ids(loader)).isEqualTo(EXPECTED.get(order));
        }
    }

    @ParameterizedTest
    @CsvSource({"STREAMED, false", "STREAMED, true", "SCATTERED, false", "SCATTERED, true"})
    void anOutageThatLastsEndsTheEpochAndAnotherLoaderGoesOnAtTheNextSample(Order order, boolean stalls)
            throws Exception {
        List<Long> ids = new ArrayList<>();
        LoaderState state;
        try (var dataset = open("read_timeout", "1s", "client_retry_timeout", "1");
                var loader = loader(dataset, order).open()) {
            Throwable failure = catchThrowable(() -> {
                for (Batch batch : loader) {
                    if (batch.step() == 20) {
                        if (stalls) {
                            link.stall();
                        } else {
                            link.cut();
                        }
                    }
                    add(batch, ids);
                }
            });
            assertThat(failure)
                    .isInstanceOf(StorageException.class)
                    .hasMessageContaining(URI)
                    .hasMessageContaining("endpoint");
            assertThat(ids).hasSizeBetween(21 * BATCH, ROWS - BATCH);
            state = loader.state();
        }
        link.mend();
        try (var dataset = open();
                var loader = loader(dataset, order).resumeFrom(state).open()) {
            ids.addAll(ids(loader));
        }
        assertThat(ids).isEqualTo(EXPECTED.get(order));
    }

    @ParameterizedTest
    @EnumSource
    void closingDuringAStallEndsTheWait(Order order) throws Exception {
        try (var dataset = open("read_timeout", "10m", "timeout", "10m")) {
            DataLoader loader = loader(dataset, order).open();
            Iterator<Batch> batches = loader.iterator();
            for (int step = 0; step < 5; step++) {
                batches.next();
            }
            link.stall();
            var waiting = new CountDownLatch(1);
            var failure = new AtomicReference<Throwable>();
            Thread consumer = Thread.ofPlatform().start(() -> {
                waiting.countDown();
                failure.set(catchThrowable(() -> {
                    while (batches.hasNext()) {
                        batches.next();
                    }
                }));
            });
            waiting.await();
            Thread.sleep(1000);
            loader.close();
            consumer.join();
            assertThat(failure.get()).isInstanceOfAny(CancelledException.class, IllegalStateException.class);
        }
    }

    @Test
    void decodedImagesAreKeptBesideTheDataset() throws Exception {
        try (var dataset = open("read_timeout", "1s", "client_retry_timeout", "1");
                var loader = DataLoader.of(dataset)
                        .columns("id", "image")
                        .image("image", ImageTransform.resize(16, 16).uint8())
                        .sampler(new DistributedSampler())
                        .batchSize(100)
                        .cache()
                        .open()) {
            // An epoch whose end cannot be kept.
            Throwable failure = catchThrowable(() -> {
                for (Batch batch : loader) {
                    if (batch.step() == ROWS / 100 - 2) {
                        link.cut();
                    }
                }
            });
            assertThat(failure).isInstanceOf(StorageException.class).hasMessageContaining("s3://" + S3Server.BUCKET);
            link.mend();
            for (int epoch = 1; epoch < 3; epoch++) {
                loader.setEpoch(epoch);
                for (Batch batch : loader) {
                    long[] ids = batch.get("id").toLongs();
                    byte[] pixels = batch.get("image").toBytes();
                    for (int row = 0; row < ids.length; row++) {
                        assertThat(Math.abs((pixels[768 * row] & 255) - ids[row] % 256))
                                .isLessThan(3);
                    }
                }
            }
        }
        String cache = "s3://" + S3Server.BUCKET + "/training.cache.lance";
        try (var kept = LanceDataset.open(cache, S3Server.options(server.address()))) {
            assertThat(kept.countRows()).isEqualTo(ROWS);
        }
    }

    @Test
    void anOrderIsKeptInTheStore() {
        String uri = "s3://" + S3Server.BUCKET + "/epoch.order.lance";
        Map<String, String> options = S3Server.options(link.address());
        try (var dataset = open()) {
            PersistedOrder.save(uri, options, dataset, Order.SCATTERED.sampler, 5, 0, BATCH);
            var kept = new BatchSampler(PersistedOrder.open(uri, options, dataset), Uneven.PAD);
            try (var loader = loader(dataset, Order.SCATTERED).sampler(kept).open()) {
                assertThat(ids(loader)).isEqualTo(EXPECTED.get(Order.SCATTERED));
            }
        }
    }
}
