package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.error.CancelledException;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.testing.LiveHandles;
import io.lancetorch.testing.TestData;
import io.lancetorch.testing.TestImages;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class DataLoaderTest {
    private static final int ROWS = 150;

    @TempDir
    private static Path folder;

    /** 150 rows in fragments of 40: an id, a vector, a flag, and a JPEG of one gray that follows from the id. */
    private static LanceDataset dataset;

    @BeforeAll
    static void write() {
        String uri = folder.resolve("data.lance").toString();
        Schema schema = Schema.of(
                Field.int64("id"),
                Field.fixedSizeList("vector", Field.float32("item"), 4),
                Field.bool("flag"),
                Field.binary("image"));
        try (var writer = LanceWriter.to(uri, schema).maxRowsPerFile(40).open()) {
            for (int i = 0; i < ROWS; i++) {
                writer.append((long) i, new float[] {i, i, i, -i}, i % 2 == 0, TestImages.gray(i));
            }
            writer.finish();
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterAll
    static void closeDataset() {
        dataset.close();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(loaderThreads()).isEmpty();
        var alive = LiveHandles.alive();
        alive.remove("lance DATASET");
        assertThat(alive).isEmpty();
    }

    private static List<String> loaderThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name -> name.startsWith("lancetorch-"))
                .toList();
    }

    private static DataLoader.Builder images() {
        return DataLoader.of(dataset).image("image", ImageTransform.resize(8, 8));
    }

    private static DataLoader.Builder plain() {
        return DataLoader.of(dataset).columns("id", "vector");
    }

    private static List<Long> ids(DataLoader loader) {
        List<Long> ids = new ArrayList<>();
        for (Batch batch : loader) {
            Arrays.stream(batch.get("id").toLongs()).forEach(ids::add);
        }
        return ids;
    }

    private static List<Long> range(long end) {
        return LongStream.range(0, end).boxed().toList();
    }

    // ---- what comes out ----

    @Test
    void everyColumnBecomesATensorOfTheBatch() {
        try (var loader = images().batchSize(64).withRowId().open()) {
            long step = 0;
            for (Batch batch : loader) {
                int rows = step < 2 ? 64 : 22;
                assertThat(batch.step()).isEqualTo(step);
                assertThat(batch.rows()).isEqualTo(rows);
                assertThat(batch.validRows()).isEqualTo(rows);
                assertThat(batch.tensors().keySet()).containsExactly("id", "vector", "flag", "image", "_rowid");
                assertThat(batch.get("id").shape()).containsExactly(rows);
                assertThat(batch.get("vector").shape()).containsExactly(rows, 4);
                assertThat(batch.get("flag").dtype()).isEqualTo(DType.BOOL);
                assertThat(batch.get("image").shape()).containsExactly(rows, 3, 8, 8);
                assertThat(batch.get("image").strides()).as("channels-last").containsExactly(192, 1, 24, 3);
                long[] ids = batch.get("id").toLongs();
                float[] pixels = batch.get("image").toFloats();
                long[] rowIds = batch.get("_rowid").toLongs();
                for (int i = 0; i < rows; i++) {
                    assertThat(ids[i]).isEqualTo(64 * step + i);
                    assertThat(batch.get("vector").toFloats()[4 * i + 3]).isEqualTo(-ids[i]);
                    assertThat(batch.get("flag").toLongs()[i]).isEqualTo(ids[i] % 2 == 0 ? 1 : 0);
                    assertThat(pixels[192 * i + 100] * 255).isBetween(ids[i] - 2f, ids[i] + 2f);
                    assertThat(rowIds[i]).isEqualTo(ids[i] / 40 << 32 | ids[i] % 40);
                }
                assertThatThrownBy(() -> batch.get("nope"))
                        .isInstanceOf(NotFoundException.class)
                        .hasMessageContainingAll("nope", "vector");
                step++;
            }
            assertThat(step).isEqualTo(3).isEqualTo(loader.steps());
            assertThat(loader.stats().batches()).isEqualTo(3);
            assertThat(loader.stats().rows()).isEqualTo(ROWS);
            assertThat(loader.stats().decodeNanos()).isPositive();
        }
    }

    @Test
    void numbersOfABatchAliasLancesMemory() {
        try (var loader = plain().batchSize(40).open()) {
            for (Batch batch : loader) {
                assertThat(Torch.liveBytes()).as("ids and vectors").isGreaterThanOrEqualTo(batch.rows() * (8L + 16));
            }
        }
    }

    @Test
    void bytesOfImagesComeAsUint8WhereAsked() {
        try (var loader = DataLoader.of(dataset)
                .columns("image", "id")
                .image("image", ImageTransform.resize(4, 6).uint8())
                .batchSize(ROWS)
                .open()) {
            for (Batch batch : loader) {
                assertThat(batch.tensors().keySet()).containsExactly("image", "id");
                Tensor image = batch.get("image");
                assertThat(image.dtype()).isEqualTo(DType.UINT8);
                assertThat(image.shape()).containsExactly(ROWS, 3, 4, 6);
                assertThat(image.toLongs()[72 * 100]).isBetween(98L, 102L);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "2, 1", "4, 1", "1, 4", "2, 3", "4, 16"})
    void orderIsThePlansWhateverTheThreads(int threads, int prefetch) {
        try (var loader = images().batchSize(7)
                .sampler(new ShardedBatchSampler())
                .seed(3)
                .decodeThreads(threads)
                .prefetch(prefetch)
                .open()) {
            List<Long> expected = new ArrayList<>();
            Plan plan = loader.plan();
            plan.allRanges()
                    .forEach(step -> step.forEach(range -> LongStream.range(range.begin(), range.end())
                            .forEach(row -> expected.add(40 * range.fragmentId() + row))));
            assertThat(expected).hasSize(ROWS).isNotEqualTo(range(ROWS));
            List<Long> seen = new ArrayList<>();
            for (Batch batch : loader) {
                long[] ids = batch.get("id").toLongs();
                float[] pixels = batch.get("image").toFloats();
                for (int i = 0; i < ids.length; i++) {
                    seen.add(ids[i]);
                    assertThat(pixels[192 * i] * 255)
                            .as("the image of row %d", ids[i])
                            .isBetween(ids[i] - 2f, ids[i] + 2f);
                }
            }
            assertThat(seen).isEqualTo(expected);
        }
    }

    @Test
    void epochsHaveOrdersOfTheirOwnAndComeAgain() {
        try (var loader =
                plain().sampler(new ShardedBatchSampler()).batchSize(10).seed(1).open()) {
            List<Long> first = ids(loader);
            assertThat(ids(loader)).isEqualTo(first);
            loader.setEpoch(1);
            List<Long> second = ids(loader);
            assertThat(second).isNotEqualTo(first).containsExactlyInAnyOrderElementsOf(range(ROWS));
            loader.setEpoch(0);
            assertThat(ids(loader)).isEqualTo(first);
        }
    }

    @Test
    void ranksShareTheRows() {
        List<Long> all = new ArrayList<>();
        int steps = -1;
        for (int rank = 0; rank < 4; rank++) {
            try (var loader = plain().sampler(new ShardedBatchSampler(true, Uneven.PAD))
                    .batchSize(16)
                    .rank(rank, 4)
                    .open()) {
                assertThat(steps).isIn(-1, loader.steps());
                steps = loader.steps();
                for (Batch batch : loader) {
                    long[] ids = batch.get("id").toLongs();
                    try (Tensor mask = batch.mask()) {
                        long[] valid = mask.toLongs();
                        for (int i = 0; i < ids.length; i++) {
                            assertThat(valid[i] == 1).isEqualTo(i < batch.validRows());
                            if (valid[i] == 1) {
                                all.add(ids[i]);
                            }
                        }
                    }
                }
            }
        }
        assertThat(all).containsExactlyInAnyOrderElementsOf(range(ROWS));
    }

    @Test
    void lastStepIsLeftOutWhereAsked() {
        try (var loader = plain().batchSize(64).dropLast().open()) {
            assertThat(ids(loader)).isEqualTo(range(128));
        }
    }

    @Test
    void noRowsAreNoSteps() {
        String uri = folder.resolve("empty.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id"))).open()) {
            writer.finish();
        }
        try (var empty = LanceDataset.open(uri);
                var loader = DataLoader.of(empty).open()) {
            assertThat(loader.steps()).isZero();
            assertThat(loader.iterator().hasNext()).isFalse();
            assertThatThrownBy(() -> loader.iterator().next()).isInstanceOf(NoSuchElementException.class);
        }
    }

    // ---- whose the batch is ----

    @Test
    void batchIsClosedWhenTheNextOneIsAskedFor() {
        try (var loader = plain().batchSize(50).open()) {
            Iterator<Batch> batches = loader.iterator();
            Batch first = batches.next();
            Tensor ids = first.get("id");
            assertThat(batches.hasNext()).isTrue();
            assertThat(ids.isClosed()).isTrue();
            Batch second = batches.next();
            second.close();
            second.close();
            Batch third = batches.next();
            assertThat(third.get("id").toLongs()[0]).isEqualTo(100);
        }
    }

    @Test
    void detachedBatchOutlivesTheLoader() {
        Batch kept;
        try (var loader = images().batchSize(50).open()) {
            Iterator<Batch> batches = loader.iterator();
            kept = batches.next().detach();
            batches.next();
        }
        try (kept) {
            assertThat(kept.get("id").toLongs()[49]).isEqualTo(49);
            assertThat(kept.get("image").count()).isEqualTo(50 * 192);
            assertThat(kept).asString().contains("step 0", "50 rows");
        }
    }

    @Test
    void scopeOfTheCallerDoesNotTakeTheBatch() {
        try (var loader = plain().batchSize(50).open()) {
            for (Batch batch : loader) {
                try (var scope = new TensorScope()) {
                    Ops.sum(batch.get("vector"));
                    assertThat(scope.size()).isEqualTo(1);
                }
                assertThat(batch.get("vector").isClosed()).isFalse();
            }
        }
    }

    // ---- the user's functions ----

    @Test
    void functionOfTheUserMakesTheTensor() {
        try (var loader = DataLoader.of(dataset)
                .columns("image", "id")
                .column("image", column -> {
                    long[] sizes = new long[(int) column.length()];
                    for (int i = 0; i < sizes.length; i++) {
                        sizes[i] = column.bytes(i).byteSize();
                    }
                    Tensor plain = Tensor.of(sizes);
                    return Ops.add(plain, plain);
                })
                .batchSize(40)
                .open()) {
            for (Batch batch : loader) {
                assertThat(batch.get("image").shape()).containsExactly(batch.rows());
                assertThat(batch.get("image").toLongs()[0])
                        .isEqualTo(2L * TestImages.gray((int) batch.get("id").toLongs()[0]).length);
            }
        }
    }

    @Test
    void exceptionOfTheUsersFunctionComesOutAtItsStep() {
        var calls = new AtomicInteger();
        var thrown = new IllegalArgumentException("not this one");
        try (var loader = plain().column("id", column -> {
                    if (column.integer(0) == 60) {
                        throw thrown;
                    }
                    calls.incrementAndGet();
                    return Tensor.of(new long[(int) column.length()]);
                })
                .batchSize(30)
                .open()) {
            Iterator<Batch> batches = loader.iterator();
            batches.next();
            batches.next();
            assertThatThrownBy(batches::next).isSameAs(thrown);
            assertThat(batches.hasNext()).as("the iteration is over").isFalse();
            assertThat(calls).hasValueGreaterThanOrEqualTo(2);
        }
    }

    @Test
    void functionThatGivesTheWrongRowsIsNamed() {
        for (ColumnFunction function : List.<ColumnFunction>of(
                column -> Tensor.of(new long[3]), column -> null, column -> Ops.sum(Tensor.of(new long[] {1})))) {
            try (var loader = plain().column("id", function).open()) {
                Iterator<Batch> batches = loader.iterator();
                assertThatThrownBy(batches::next)
                        .isInstanceOf(InvalidArgumentException.class)
                        .hasMessageContainingAll("step 0", "column id", "32 rows");
            }
        }
    }

    @Test
    void stepsOfASamplerMayBeLargerThanTheBatchSize() {
        Sampler growing = request -> {
            var plan = new Plan.Builder();
            for (int begin = 0, rows = 1; begin + rows <= 40; begin += rows, rows *= 2) {
                plan.add(1, begin, begin + rows).endStep(rows);
            }
            return plan.build();
        };
        try (var loader = images().batchSize(4).sampler(growing).open()) {
            long id = 40;
            for (Batch batch : loader) {
                float[] pixels = batch.get("image").toFloats();
                for (int row = 0; row < batch.rows(); row++, id++) {
                    assertThat(pixels[192 * row] * 255).isBetween(id - 2f, id + 2f);
                }
            }
            assertThat(id).as("steps of 1, 2, 4, 8 and 16 rows").isEqualTo(40 + 31);
        }
    }

    @Test
    void collateMakesTheTensorsThatAreHandedOut() {
        try (var loader = plain().batchSize(40)
                .collate(read -> {
                    Tensor doubled = Ops.add(read.get("vector"), read.get("vector"));
                    return Map.of("doubled", doubled, "id", read.get("id"), "again", read.get("id"));
                })
                .open()) {
            for (Batch batch : loader) {
                assertThat(batch.tensors().keySet()).containsExactlyInAnyOrder("doubled", "id", "again");
                long first = batch.get("id").toLongs()[0];
                assertThat(batch.get("doubled").toFloats()[0]).isEqualTo(2f * first);
                batch.get("again").close();
                assertThat(batch.get("id").toLongs()[0]).isEqualTo(first);
            }
        }
    }

    @Test
    void exceptionOfCollateComesOutAtItsStep() {
        var thrown = new IllegalArgumentException("not this one");
        try (var loader = images().batchSize(40)
                .collate(read -> {
                    if (read.step() == 2) {
                        throw thrown;
                    }
                    return read.tensors();
                })
                .open()) {
            Iterator<Batch> batches = loader.iterator();
            batches.next();
            batches.next();
            assertThatThrownBy(batches::next).isSameAs(thrown);
        }
        try (var loader = plain().collate(read -> Map.of()).open()) {
            assertThatThrownBy(() -> loader.iterator().next())
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContainingAll("step 0", "collate");
        }
    }

    // ---- errors ----

    @Test
    void badImageIsAnErrorOfItsStepAndNamesItsRow() throws Exception {
        for (byte[] bad : new byte[][] {
            "no image at all".getBytes(java.nio.charset.StandardCharsets.US_ASCII),
            {},
            Arrays.copyOf(Files.readAllBytes(TestData.resource("images/hat.jpg")), 9000),
            null
        }) {
            Path target = Files.createTempDirectory(folder, "bad");
            String uri = target.resolve("bad.lance").toString();
            try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id"), Field.binary("image")))
                    .maxRowsPerFile(50)
                    .open()) {
                for (int i = 0; i < 100; i++) {
                    writer.append((long) i, i == 77 ? bad : TestImages.gray(i));
                }
                writer.finish();
            }
            for (int threads : new int[] {1, 4}) {
                try (var spoiled = LanceDataset.open(uri);
                        var loader = DataLoader.of(spoiled)
                                .image("image", ImageTransform.resize(8, 8))
                                .batchSize(20)
                                .decodeThreads(threads)
                                .prefetch(4)
                                .open()) {
                    Iterator<Batch> batches = loader.iterator();
                    for (int step = 0; step < 3; step++) {
                        assertThat(batches.next().get("id").toLongs()[0]).isEqualTo(20L * step);
                    }
                    Throwable thrown = catchThrowable(batches::next);
                    assertThat(thrown)
                            .isInstanceOf(CorruptDataException.class)
                            .hasMessageContainingAll("step 3", "column image", "fragment 1, row 27");
                    assertThat(((CorruptDataException) thrown).row()).isEqualTo(17);
                    assertThat(batches.hasNext()).isFalse();
                    assertThatThrownBy(batches::next).isInstanceOf(NoSuchElementException.class);
                    assertThat(loaderThreads()).isEmpty();
                    Iterator<Batch> again = loader.iterator();
                    assertThat(again.next().rows())
                            .as("another iteration works")
                            .isEqualTo(20);
                }
            }
        }
    }

    @Test
    void nullInANumberColumnIsAnErrorOfItsStepAndNamesItsRow() {
        String uri = folder.resolve("nulls.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id")))
                .maxRowsPerFile(30)
                .open()) {
            for (long i = 0; i < 60; i++) {
                writer.append(i == 47 ? null : (Object) i);
            }
            writer.finish();
        }
        try (var nulls = LanceDataset.open(uri);
                var loader = DataLoader.of(nulls).batchSize(10).open()) {
            Iterator<Batch> batches = loader.iterator();
            for (int step = 0; step < 4; step++) {
                batches.next();
            }
            assertThatThrownBy(batches::next)
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll("step 4", "column id", "fragment 1, row 17");
        }
    }

    @Test
    void whatCannotBeLoadedIsRefusedAtOpen() {
        assertThatThrownBy(() -> DataLoader.of(dataset).open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("column image", "binary", "image(...)");
        assertThatThrownBy(() -> plain().columns("id", "labell").open())
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("labell");
        assertThatThrownBy(() ->
                        plain().image("image", ImageTransform.resize(8, 8)).open())
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("image");
        assertThatThrownBy(() -> plain().column("nope", column -> null).open())
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining("nope");
        assertThatThrownBy(
                        () -> plain().image("id", ImageTransform.resize(8, 8)).open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("column id", "int64");
        assertThatThrownBy(() -> images().column("image", column -> null).open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("column image");
        assertThatThrownBy(() -> plain().batchSize(0).open()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> plain().rank(2, 2).open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("rank 2");
        assertThatThrownBy(() -> plain().decodeThreads(0).open()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> plain().prefetch(0).open()).isInstanceOf(InvalidArgumentException.class);
        assertThatThrownBy(() -> plain().sampler(new ShardedFragmentSampler(true, Uneven.REFUSE))
                        .rank(0, 3)
                        .open())
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("rank 0");
        assertThatThrownBy(() -> ImageTransform.resize(0, 5)).isInstanceOf(InvalidArgumentException.class);
    }

    @Test
    void deviceThatIsNotThereIsRefusedAtOpen() {
        assumeTrue(Device.count(Device.Type.CUDA) == 0, "skipped: there is a GPU");
        assertThatThrownBy(() -> images().device(Device.cuda(0)).open()).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> images().pinMemory().open()).isInstanceOf(UnsupportedException.class);
    }

    @Test
    void datasetThatIsClosedIsNamed() {
        var other = LanceDataset.open(dataset.uri());
        try (var loader = DataLoader.of(other).columns("id").open()) {
            other.close();
            assertThatThrownBy(loader::iterator)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining(dataset.uri());
        }
    }

    // ---- ends ----

    @Test
    void closeInTheMiddleEndsThreadsAndFreesAll() {
        for (int taken = 0; taken < 4; taken++) {
            var loader = images().batchSize(8).decodeThreads(3).prefetch(5).open();
            Iterator<Batch> batches = loader.iterator();
            Iterator<Batch> other = loader.iterator();
            for (int i = 0; i < taken; i++) {
                batches.next();
            }
            loader.close();
            loader.close();
            nothingIsLeft();
            assertThatThrownBy(batches::next).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(other::hasNext).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(loader::iterator).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void loopThatIsLeftByBreakDoesNotKeepItsThreadsForEver() throws InterruptedException {
        try (var loader = images().batchSize(8).open()) {
            for (int epoch = 0; epoch < 3; epoch++) {
                for (Batch batch : loader) {
                    assertThat(batch.rows()).isPositive();
                    break;
                }
            }
            long end = System.nanoTime() + 20_000_000_000L;
            while (!loaderThreads().isEmpty() && System.nanoTime() < end) {
                System.gc();
                Thread.sleep(10);
            }
            assertThat(loaderThreads()).isEmpty();
        }
    }

    @Test
    void endOfAnEpochEndsItsThreads() {
        try (var loader = images().batchSize(8).open()) {
            for (Batch batch : loader) {
                assertThat(batch.rows()).isPositive();
            }
            assertThat(loaderThreads()).isEmpty();
        }
    }

    @Test
    void closeFromAnotherThreadEndsAnIterationAtAnyTime() throws Exception {
        for (int round = 0; round < 40; round++) {
            var loader = images().batchSize(2 + round % 5)
                    .decodeThreads(2)
                    .prefetch(3)
                    .open();
            var first = new CountDownLatch(1);
            var thrown = new AtomicReference<Throwable>();
            Thread consumer = Thread.ofPlatform()
                    .start(() -> thrown.set(catchThrowable(() -> {
                        for (int epoch = 0; epoch < 1000; epoch++) {
                            for (Batch batch : loader) {
                                first.countDown();
                                // Reads the batch while the other thread may be closing the loader.
                                assertThat(Arrays.stream(batch.get("id").toLongs())
                                                .max()
                                                .getAsLong())
                                        .isLessThan(ROWS);
                                assertThat(batch.get("image").toFloats()).hasSize(192 * batch.rows());
                            }
                        }
                    })));
            assertThat(first.await(20, TimeUnit.SECONDS)).isTrue();
            LockSupport.parkNanos(200_000L * (round % 10));
            loader.close();
            assertThat(consumer.join(Duration.ofSeconds(20))).isTrue();
            assertThat(thrown.get()).isInstanceOfAny(CancelledException.class, IllegalStateException.class);
            nothingIsLeft();
        }
    }

    @Test
    void closeFromAnotherThreadLeavesTheBatchInUseToItsReader() throws Exception {
        var loader = plain().batchSize(50).open();
        Iterator<Batch> batches = loader.iterator();
        Tensor ids = batches.next().get("id");
        Thread.ofPlatform().start(loader::close).join();
        assertThat(ids.toLongs()).hasSize(50);
        assertThat(loaderThreads()).isEmpty();
        assertThatThrownBy(batches::hasNext).isInstanceOf(IllegalStateException.class);
        assertThat(ids.isClosed()).isTrue();
    }

    @Test
    void interruptOfTheConsumerCancelsItsIteration() throws Exception {
        var release = new CountDownLatch(1);
        try (var loader = plain().column("id", column -> {
                    try {
                        release.await();
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                    return Tensor.of(new long[(int) column.length()]);
                })
                .open()) {
            var thrown = new AtomicReference<Throwable>();
            var interrupted = new AtomicReference<Boolean>();
            Iterator<Batch> batches = loader.iterator();
            Thread consumer = Thread.ofPlatform().start(() -> {
                thrown.set(catchThrowable(batches::next));
                interrupted.set(Thread.currentThread().isInterrupted());
            });
            while (consumer.getState() != Thread.State.WAITING) {
                Thread.sleep(1);
            }
            consumer.interrupt();
            Thread.sleep(20);
            release.countDown();
            assertThat(consumer.join(Duration.ofSeconds(20))).isTrue();
            assertThat(thrown.get()).isInstanceOf(CancelledException.class).hasMessageContaining("step 0");
            assertThat(interrupted.get()).as("the flag is kept").isTrue();
            assertThat(ids(loader)).as("the loader goes on").hasSize(ROWS);
        }
    }

    @Test
    void readerRestsWhenEnoughIsReady() throws Exception {
        var made = new AtomicInteger();
        try (var loader = plain().column("id", column -> {
                    made.incrementAndGet();
                    return Tensor.of(new long[(int) column.length()]);
                })
                .batchSize(5)
                .prefetch(3)
                .open()) {
            Iterator<Batch> batches = loader.iterator();
            batches.next();
            while (made.get() < 4) {
                Thread.sleep(1);
            }
            Thread.sleep(200);
            assertThat(made).as("one in use and three ahead, of 30").hasValue(4);
            batches.next();
        }
    }

    @Test
    void twoIterationsAtOnceDoNotDisturbEachOther() {
        try (var loader = plain().batchSize(50).open()) {
            Iterator<Batch> one = loader.iterator();
            Iterator<Batch> two = loader.iterator();
            Batch first = one.next();
            Batch second = two.next();
            assertThat(first.get("id").toLongs()).isEqualTo(second.get("id").toLongs());
            while (one.hasNext()) {
                one.next();
            }
            assertThat(second.get("id").toLongs()[0]).isZero();
        }
    }

    @Test
    void closeByItsOwnCollateIsAnErrorAndNotADeadlock() {
        var holder = new AtomicReference<DataLoader>();
        try (var loader = plain().batchSize(10)
                .collate(read -> {
                    if (read.step() == 5) {
                        holder.get().close();
                    }
                    return read.tensors();
                })
                .open()) {
            holder.set(loader);
            assertThatThrownBy(() -> ids(loader))
                    .isInstanceOfAny(IllegalStateException.class, CancelledException.class);
        }
    }
}
