package io.lancetorch.lance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.testing.FaultProxy;
import io.lancetorch.testing.S3Server;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Datasets in a real object store, behind a network that fails. */
@Timeout(300)
class ObjectStoreTest {
    private static final Schema SCHEMA =
            Schema.of(Field.int64("id"), Field.fixedSizeList("vector", Field.float32("item"), 512));
    private static final int ROWS = 4000;
    private static final String URI = "s3://" + S3Server.BUCKET + "/vectors.lance";

    @TempDir
    private static Path folder;

    private static S3Server server;
    private static FaultProxy proxy;

    @BeforeAll
    static void start() throws Exception {
        server = new S3Server(folder);
        proxy = new FaultProxy(folder);
        write(URI, S3Server.options(server.address()), LanceWriter.Mode.CREATE, ROWS);
    }

    @AfterAll
    static void stop() throws Exception {
        try (var _ = server;
                var _ = proxy) {
            // Both, whatever happens to one.
        }
    }

    /** Rows of 2 KB, in fragments of 1,000. */
    private static long write(String uri, Map<String, String> options, LanceWriter.Mode mode, int rows) {
        try (var writer = LanceWriter.to(uri, SCHEMA)
                .mode(mode)
                .storageOptions(options)
                .maxRowsPerFile(1000)
                .open()) {
            float[] vector = new float[512];
            for (long i = 0; i < rows; i++) {
                Arrays.fill(vector, i);
                writer.append(i, vector);
            }
            return writer.finish();
        }
    }

    private static Map<String, String> with(Map<String, String> options, String... others) {
        Map<String, String> all = new HashMap<>(options);
        for (int i = 0; i < others.length; i += 2) {
            all.put(others[i], others[i + 1]);
        }
        return all;
    }

    private static List<Long> ids(LanceDataset dataset, Scan.Builder scan) {
        List<Long> ids = new ArrayList<>();
        try (Scan open = scan.open()) {
            for (RecordBatch next; (next = open.next()) != null; ) {
                try (RecordBatch batch = next) {
                    Column column = batch.column("id");
                    for (long row = 0; row < batch.rows(); row++) {
                        ids.add(column.integer(row));
                    }
                }
            }
        }
        return ids;
    }

    private static List<Long> range(long begin, long end) {
        return LongStream.range(begin, end).boxed().toList();
    }

    // ---- a store that works ----

    @Test
    void aDatasetIsWrittenAndReadAsOneOfFilesIs() {
        String uri = "s3://" + S3Server.BUCKET + "/a folder/grows.lance";
        Map<String, String> options = S3Server.options(server.address());
        // Parts of 5 MB are uploaded one by one, so 8 MB take several.
        assertThat(write(uri, options, LanceWriter.Mode.CREATE, 2500)).isEqualTo(1);
        assertThat(write(uri, options, LanceWriter.Mode.APPEND, 1500)).isEqualTo(2);
        assertThatThrownBy(() -> write(uri, options, LanceWriter.Mode.CREATE, 1))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining(uri);
        try (var dataset = LanceDataset.open(uri, options);
                var first = LanceDataset.openVersion(uri, options, 1)) {
            assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(1000L, 1000L, 500L, 1000L, 500L);
            assertThat(first.countRows()).isEqualTo(2500);
            assertThat(dataset.countRows("id < 10")).isEqualTo(20);
            assertThat(dataset.storageOptions()).isEqualTo(options);
            assertThat(dataset).asString().doesNotContain(S3Server.SECRET_KEY);
            assertThat(ids(dataset, dataset.scan().columns("id")).subList(0, 2500))
                    .isEqualTo(range(0, 2500));
            long[] positions = {3999, 0, 2500, 17, 17, 1234};
            try (RecordBatch batch = dataset.take(positions)) {
                for (int row = 0; row < positions.length; row++) {
                    assertThat(batch.column("id").integer(row)).isEqualTo(positions[row] % 2500);
                }
            }
        }
    }

    @Test
    void fragmentsAreWrittenApartAndCommittedOnce() {
        String uri = "s3://" + S3Server.BUCKET + "/apart.lance";
        Map<String, String> options = S3Server.options(server.address());
        LanceWriter.Builder to =
                LanceWriter.to(uri, SCHEMA).storageOptions(options).maxRowsPerFile(1000);
        List<String> parts = new ArrayList<>();
        try (var first = to.openFragments();
                var second = to.openFragments()) {
            for (long i = 0; i < 3000; i++) {
                (i < 1500 ? first : second).append(i, new float[512]);
            }
            parts.add(first.finish());
            parts.add(second.finish());
        }
        assertThat(parts.toString()).doesNotContain(S3Server.SECRET_KEY).doesNotContain(S3Server.ACCESS_KEY);
        assertThat(to.commit(parts)).isEqualTo(1);
        assertThatThrownBy(() -> to.commit(parts)).isInstanceOf(InvalidArgumentException.class);
        try (var dataset = LanceDataset.open(uri, options)) {
            assertThat(dataset.fragments()).extracting(Fragment::rows).containsExactly(1000L, 500L, 1000L, 500L);
            assertThat(ids(dataset, dataset.scan().columns("id"))).isEqualTo(range(0, 3000));
            assertThat(dataset.versions(5)).extracting(DatasetVersion::rows).containsExactly(3000L);
        }
        String elsewhere = uri.replace("apart", "elsewhere");
        assertThatThrownBy(() -> LanceWriter.to(elsewhere, SCHEMA)
                        .storageOptions(options)
                        .commit(parts))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContainingAll(elsewhere, "part 0");
    }

    // ---- a store that refuses ----

    @Test
    void aDatasetOrBucketThatIsNotThereIsNotFound() {
        Map<String, String> options = S3Server.options(server.address());
        String nothing = "s3://" + S3Server.BUCKET + "/nothing.lance";
        assertThatThrownBy(() -> LanceDataset.open(nothing, options))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(nothing);
        assertThatThrownBy(() -> write(nothing, options, LanceWriter.Mode.APPEND, 1))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(nothing);
        assertThatThrownBy(() -> LanceDataset.openVersion(URI, options, 7))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(URI)
                .hasMessageContaining("version 7");
        String noBucket = "s3://no-such-bucket/data.lance";
        for (Callable<?> call : List.<Callable<?>>of(
                () -> LanceDataset.open(noBucket, options),
                () -> write(noBucket, options, LanceWriter.Mode.CREATE, 1))) {
            assertThatThrownBy(call::call)
                    .isInstanceOf(NotFoundException.class)
                    .hasMessageContaining(noBucket)
                    .hasMessageContaining("NoSuchBucket")
                    .hasMessageContaining("check the name of the bucket");
        }
    }

    @Test
    void wrongCredentialsAreNamedAsSuch() {
        Map<String, String> options = S3Server.options(server.address());
        Map<String, String> wrongSecret = with(options, "secret_access_key", "guessed");
        Map<String, String> wrongKey = with(options, "access_key_id", "nobody");
        for (Map<String, String> wrong : List.of(wrongSecret, wrongKey)) {
            for (Callable<?> call : List.<Callable<?>>of(
                    () -> LanceDataset.open(URI, wrong), () -> write(URI, wrong, LanceWriter.Mode.APPEND, 1))) {
                assertThatThrownBy(call::call)
                        .isInstanceOf(StorageException.class)
                        .hasMessageContaining(URI)
                        .hasMessageContaining("403")
                        .hasMessageContaining("refuses these credentials")
                        .hasMessageContaining("secret_access_key")
                        .hasMessageNotContaining("guessed");
            }
        }
        assertThatThrownBy(() -> LanceDataset.open(URI, wrongSecret)).hasMessageContaining("SignatureDoesNotMatch");
        assertThatThrownBy(() -> LanceDataset.open(URI, wrongKey)).hasMessageContaining("InvalidAccessKeyId");
    }

    @Test
    void anOptionThatCannotBeIsToldWithItsValue() {
        Map<String, String> options = S3Server.options(server.address());
        Map<String, String> plain = new HashMap<>(options);
        plain.remove("allow_http");
        assertThatThrownBy(() -> LanceDataset.open(URI, plain))
                .isInstanceOf(StorageException.class)
                .hasMessageContaining(URI)
                .hasMessageContaining("allow_http");
        assertThatThrownBy(() -> LanceDataset.open(URI, with(options, "read_timeout", "soon")))
                .hasMessageContaining(URI)
                .hasMessageContaining("soon");
    }

    // ---- a network that fails ----

    /** A failure where the user has said nothing but how to reach the store. */
    private record Outage(String name, Callable<?> call) {}

    @Test
    void anOutageThatLastsIsAStorageExceptionInBoundedTime() throws Exception {
        List<Outage> outages = new ArrayList<>();
        for (boolean stalls : List.of(false, true)) {
            String how = stalls ? "nothing answers" : "connections are refused";
            outages.add(new Outage("open, " + how, () -> {
                FaultProxy.Link link = proxy.link(server.address());
                fail(link, stalls);
                return LanceDataset.open(URI, S3Server.options(link.address()));
            }));
            outages.add(new Outage("take, " + how, () -> {
                FaultProxy.Link link = proxy.link(server.address());
                try (var dataset = LanceDataset.open(URI, S3Server.options(link.address()))) {
                    fail(link, stalls);
                    return dataset.take(new long[] {1, 2001, 3});
                }
            }));
            outages.add(new Outage("scan, " + how, () -> {
                FaultProxy.Link link = proxy.link(server.address());
                try (var dataset = LanceDataset.open(URI, S3Server.options(link.address()))) {
                    fail(link, stalls);
                    return ids(dataset, dataset.scan());
                }
            }));
            outages.add(new Outage("write, " + how, () -> {
                FaultProxy.Link link = proxy.link(server.address());
                try (var writer = LanceWriter.to(URI, SCHEMA)
                        .mode(LanceWriter.Mode.APPEND)
                        .storageOptions(S3Server.options(link.address()))
                        .open()) {
                    fail(link, stalls);
                    writer.append(1L, new float[512]);
                    return writer.finish();
                }
            }));
        }
        // At once, as each waits for most of its time.
        Map<String, Future<Duration>> waits = new TreeMap<>();
        try (var threads = Executors.newCachedThreadPool()) {
            for (Outage outage : outages) {
                waits.put(outage.name, threads.submit(() -> {
                    long start = System.nanoTime();
                    Throwable failure = catchThrowable(outage.call::call);
                    Duration wait = Duration.ofNanos(System.nanoTime() - start);
                    assertThat(failure)
                            .as(outage.name)
                            .isInstanceOf(StorageException.class)
                            .hasMessageContaining(URI)
                            .hasMessageContaining("endpoint");
                    return wait;
                }));
            }
        }
        for (var wait : waits.entrySet()) {
            Duration bound = Duration.ofSeconds(wait.getKey().endsWith("refused") ? 60 : 120);
            assertThat(wait.getValue().get()).as(wait.getKey()).isLessThan(bound);
        }
        try (var dataset = LanceDataset.open(URI, S3Server.options(server.address()))) {
            assertThat(dataset.version()).as("no write went through").isEqualTo(1);
        }
    }

    private static void fail(FaultProxy.Link link, boolean stalls) throws Exception {
        if (stalls) {
            link.stall();
        } else {
            link.cut();
        }
    }

    @Test
    void whatTheUserSaysOfRetriesCounts() throws Exception {
        FaultProxy.Link link = proxy.link(server.address());
        link.cut();
        Map<String, String> impatient = with(S3Server.options(link.address()), "Client_Max_Retries", "1");
        assertThatThrownBy(() -> LanceDataset.open(URI, impatient))
                .isInstanceOf(StorageException.class)
                .hasMessageContaining("after 1 retries, max_retries: 1, retry_timeout: 3s")
                .hasMessageContaining("Connection refused");
    }

    @Test
    void aWriteSurvivesAnOutageOfSeconds() throws Exception {
        FaultProxy.Link link = proxy.link(server.address());
        String uri = "s3://" + S3Server.BUCKET + "/survivor.lance";
        try (var writer = LanceWriter.to(uri, SCHEMA)
                .storageOptions(S3Server.options(link.address()))
                .open()) {
            writer.append(0L, new float[512]);
            link.cut();
            Thread mending = mendAfter(link, Duration.ofSeconds(5));
            writer.append(1L, new float[512]);
            assertThat(writer.finish()).isEqualTo(1);
            assertThat(mending.isAlive()).as("the write waited for the network").isFalse();
        }
        try (var dataset = LanceDataset.open(uri, S3Server.options(server.address()))) {
            assertThat(ids(dataset, dataset.scan())).isEqualTo(range(0, 2));
        }
    }

    private static Thread mendAfter(FaultProxy.Link link, Duration delay) {
        return Thread.ofPlatform().start(() -> {
            try {
                Thread.sleep(delay);
                link.mend();
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
    }
}
