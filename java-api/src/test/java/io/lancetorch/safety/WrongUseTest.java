package io.lancetorch.safety;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.data.DataLoader;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.distributed.Store;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.ImageDecoder;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.RowRange;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import io.lancetorch.testing.TestImages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Sizes, dtypes, positions and options that cannot be: each is a typed exception, and the process lives on. */
@Timeout(60)
class WrongUseTest {
    private static final long MAX = Long.MAX_VALUE;
    private static final long MIN = Long.MIN_VALUE;

    @TempDir
    private static Path folder;

    private static LanceDataset images;
    private TensorScope scope;

    @BeforeAll
    static void write() {
        images = TestImages.grays(folder.resolve("images.lance"), 20, 7, Set.of());
    }

    @AfterAll
    static void close() {
        images.close();
    }

    @BeforeEach
    void openScope() {
        scope = new TensorScope();
    }

    @AfterEach
    void stillWorks() {
        assertThat(Ops.add(floats(2), floats(2)).toFloats()).containsExactly(0, 2);
        scope.close();
        try (RecordBatch batch = images.take(new long[] {3}, "id")) {
            assertThat(batch.column("id").integer(0)).isEqualTo(3);
        }
    }

    private static Tensor floats(long... shape) {
        long count = 1;
        for (long size : shape) {
            count *= size;
        }
        return Ops.reshape(Ops.arange(count).to(DType.FLOAT32), shape);
    }

    private static Tensor expand(Tensor tensor, long size) {
        return Op.find("aten::expand", "").call(tensor, new long[] {size});
    }

    private static Tensor longs(long... values) {
        return Tensor.of(values);
    }

    private static Arguments of(String name, ThrowingCallable use) {
        return Arguments.of(name, use);
    }

    private static Object call(String op, Object... arguments) {
        String[] parts = op.split("\\.");
        return Op.find("aten::" + parts[0], parts.length > 1 ? parts[1] : "").callAll(arguments);
    }

    static Stream<Arguments> tensors() {
        return Stream.of(
                of("a negative size", () -> Tensor.empty(DType.FLOAT32, -1)),
                of("the smallest size", () -> Tensor.empty(DType.FLOAT32, MIN)),
                of("the largest sizes", () -> Tensor.empty(DType.FLOAT32, MAX, MAX)),
                of("a product that wraps around to 0", () -> Tensor.empty(DType.FLOAT32, 1L << 32, 1L << 32)),
                of("bytes that wrap around to 0", () -> Tensor.empty(DType.FLOAT64, 1L << 61)),
                of(
                        "channels last that wrap around",
                        () -> Tensor.empty(
                                DType.UINT8, Device.CPU, MemoryFormat.CHANNELS_LAST, false, 1L << 31, 1L << 31, 2, 4)),
                of("values for a shape that wraps around", () -> Tensor.of(new float[0], 1L << 32, 1L << 32)),
                of("values for a negative shape", () -> Tensor.of(new float[1], -1, -1)),
                of("memory with a negative size", () -> fromMemory(new long[] {-1}, null)),
                of("memory with sizes that wrap around", () -> fromMemory(new long[] {1L << 62, 8}, null)),
                of("memory with strides that wrap around", () -> fromMemory(new long[] {2, 2}, new long[] {MAX, MAX})),
                of("memory with negative strides", () -> fromMemory(new long[] {2}, new long[] {-1})),
                of("memory with too few strides", () -> fromMemory(new long[] {2, 2}, new long[] {1})),
                of(
                        "memory at address 0",
                        () -> Tensor.fromMemory(
                                MemorySegment.NULL,
                                DType.FLOAT32,
                                new long[] {4},
                                null,
                                MemorySegment.NULL,
                                MemorySegment.NULL)),
                of("a handle at address 0", () -> Tensor.fromHandle(MemorySegment.NULL)),
                of("a dimension beyond the last", () -> floats(2, 3).size(2)),
                of("the smallest dimension", () -> floats(2, 3).size(Integer.MIN_VALUE)),
                of("one value of many", () -> floats(2).item()),
                of("one value of none", () -> floats(0).item()),
                of("more values than an array holds", () -> expand(floats(1), 1L << 32)
                        .toFloats()),
                of("memory of a tensor that is not dense", () -> expand(floats(1), 8)
                        .data()),
                of("values of another shape", () -> floats(2, 3).copyFrom(floats(4))),
                of("a gradient of integers", () -> longs(1).requiresGrad(true)),
                of("backward from nothing", () -> floats(1).backward()),
                of("backward from many", () -> floats(2).requiresGrad(true).backward()),
                of(
                        "a gradient of another shape",
                        () -> floats(2).requiresGrad(true).grad(floats(3))),
                of(
                        "a stride beyond the storage",
                        () -> call("as_strided", floats(4), new long[] {2, 2}, new long[] {1 << 20, 1}, 0)),
                of(
                        "an offset before the storage",
                        () -> call("as_strided", floats(4), new long[] {2}, new long[] {1}, -8)),
                of("the largest offset", () -> call("as_strided", floats(4), new long[] {2}, new long[] {1}, MAX)),
                of(
                        "sizes that wrap around over a storage",
                        () -> call("as_strided", floats(4), new long[] {MAX, MAX}, new long[] {MAX, MAX}, 0)),
                of("a narrow beyond the end", () -> call("narrow", floats(4), 0, 2, MAX)),
                of("a select beyond the end", () -> call("select.int", floats(4), 0, 4)),
                of("an index beyond the end", () -> call("index_select", floats(4), 0, longs(4))),
                of("the smallest index", () -> call("index_select", floats(4), 0, longs(MIN))),
                of("a gather beyond the end", () -> call("gather", floats(4), 0, longs(9))),
                of("a scatter beyond the end", () -> call("scatter.src", floats(4), 0, longs(9), floats(1))),
                of("a row beyond an embedding", () -> call("embedding", floats(4, 2), longs(4))),
                of("a class beyond the last", () -> Ops.crossEntropy(floats(2, 3), longs(0, 3))),
                of("a class before the first", () -> Ops.crossEntropy(floats(2, 3), longs(0, -5))),
                of("a repeat that wraps around", () -> call("repeat", floats(4), new long[] {MAX})),
                of("a range without an end", () -> call("arange", Double.POSITIVE_INFINITY)),
                of("a range that is too long", () -> Ops.arange(MAX)),
                of("a reshape that wraps around", () -> Ops.reshape(floats(4), 1L << 32, 1L << 32)),
                of(
                        "a kernel larger than the image",
                        () -> call("conv2d", floats(1, 1, 2, 2), floats(1, 1, 5, 5), null)),
                of(
                        "a negative padding",
                        () -> call(
                                "conv2d", floats(1, 1, 8, 8), floats(1, 1, 3, 3), null, new long[] {1, 1}, new long[] {
                                    -9, -9
                                })),
                of(
                        "a stride of 0",
                        () -> call("conv2d", floats(1, 1, 8, 8), floats(1, 1, 3, 3), null, new long[] {0, 0})),
                of("a pooling by 0", () -> call("max_pool2d", floats(1, 1, 8, 8), new long[] {0, 0})),
                of("dtypes that do not multiply", () -> Ops.matmul(floats(2, 2), longs(1, 2))),
                of("shapes that do not multiply", () -> Ops.matmul(floats(2, 2), floats(3, 2))),
                of("an argument of another kind", () -> call("relu", "text")),
                of("an argument that is missing", () -> call("relu", (Object) null)),
                of("more arguments than any operator has", () -> call("relu", new Object[40])),
                of("an operator that is not there", () -> Op.find("aten::no_such", "")),
                of("a name of no operator", () -> Op.find("", "")),
                of("a random state of other bytes", () -> Torch.randomState(Tensor.of(new byte[3]))),
                of("a random state of floats", () -> Torch.randomState(floats(5000))),
                of("an optimizer without parameters", () -> Optimizer.sgd(List.of(), 0.1, 0, 0)
                        .close()),
                of("a rate below 0", () -> Optimizer.sgd(List.of(floats(1)), -1, 0, 0)
                        .close()),
                of("a rate that is no number", () -> Optimizer.adamW(List.of(floats(1)), Double.NaN, 0)
                        .close()),
                of("no threads", () -> Torch.numThreads(0)),
                of("too many threads", () -> Torch.numThreads(Integer.MAX_VALUE)),
                of("no threads for Lance", () -> Lance.numThreads(Integer.MIN_VALUE)),
                of("too many threads for Lance", () -> Lance.numThreads(Integer.MAX_VALUE)));
    }

    private static Tensor fromMemory(long[] shape, long[] strides) {
        MemorySegment memory = Arena.ofAuto().allocate(64, 8);
        return Tensor.fromMemory(memory, DType.FLOAT32, shape, strides, MemorySegment.NULL, MemorySegment.NULL);
    }

    static Stream<Arguments> datasets() {
        ImageTransform small = ImageTransform.resize(8, 8).uint8();
        return Stream.of(
                of("a batch of no rows", () -> read(images.scan().batchSize(0))),
                of("a batch of the fewest rows", () -> read(images.scan().batchSize(MIN))),
                of("no batches ahead", () -> read(images.scan().readAhead(Integer.MIN_VALUE))),
                of("the largest range", () -> read(images.scan().ranges(List.of(new RowRange(0, 0, MAX))))),
                of(
                        "a range at the end of numbers",
                        () -> read(images.scan().ranges(List.of(new RowRange(0, MAX - 1, MAX))))),
                of("a range from below 0", () -> read(images.scan().ranges(List.of(new RowRange(0, MIN, 1))))),
                of(
                        "a fragment at the end of numbers",
                        () -> read(images.scan().ranges(List.of(new RowRange(MAX, 0, 1))))),
                of("a fragment below 0", () -> read(images.scan().ranges(List.of(new RowRange(-1, 0, 1))))),
                of(
                        "a batch that ends before it begins",
                        () -> read(images.scan().batches(new long[] {0, 0, 1, 0, 1, 2}, new long[] {2, 1}))),
                of(
                        "a batch that ends beyond the ranges",
                        () -> read(images.scan().batches(new long[] {0, 0, 1}, new long[] {MAX}))),
                of(
                        "a batch that ends below 0",
                        () -> read(images.scan().batches(new long[] {0, 0, 1}, new long[] {MIN, 1}))),
                of("a part of a range", () -> read(images.scan().batches(new long[] {0, 0}, new long[] {1}))),
                of("a position beyond the rows", () -> images.take(new long[] {20})),
                of("the largest position", () -> images.take(new long[] {MAX})),
                of("the smallest position", () -> images.take(new long[] {MIN})),
                of("a column twice", () -> images.take(new long[] {0}, "id", "id")),
                of("a blob at the largest position", () -> images.blobs("image", MAX)),
                of("a version at the end of numbers", () -> LanceDataset.openVersion(images.uri(), Map.of(), MAX)),
                of("an image of no pixels", () -> decode(ImageTransform.resize(0, 8), 0, 1, 1000)),
                of(
                        "an image of the most pixels",
                        () -> decode(ImageTransform.resize(Integer.MAX_VALUE, Integer.MAX_VALUE), 0, 1, 1000)),
                of("a crop larger than the image", () -> decode(ImageTransform.centerCrop(8, 64, 64), 0, 1, 1000)),
                of("images beyond the column", () -> decode(small, 1, 2, 1000)),
                of("the most images", () -> decode(small, 0, MAX, 1000)),
                of("images from the end of numbers", () -> decode(small, MAX, 1, 1000)),
                of("images from below 0", () -> decode(small, MIN, 1, 1000)),
                of("fewer than no images", () -> decode(small, 0, -1, 1000)),
                of("memory too small for an image", () -> decode(small, 0, 1, 191)),
                of(
                        "memory of the Java heap",
                        () -> withColumn(
                                (decoder, column) ->
                                        decoder.decode(column, 0, 1, MemorySegment.ofArray(new byte[1000])),
                                small)),
                of("the most floats", () -> new ImageDecoder(ImageTransform.resize(8, 8), 0)
                        .toFloats(
                                Arena.ofAuto().allocate(8), MAX, Arena.ofAuto().allocate(8))),
                of("fewer than no floats", () -> new ImageDecoder(ImageTransform.resize(8, 8), 0)
                        .toFloats(Arena.ofAuto().allocate(8), -1, Arena.ofAuto().allocate(8))),
                of("a JPEG whose sizes wrap around", () -> ImageCodec.encodeJpeg(new byte[0], 1 << 16, 1 << 16, 90)),
                of("a JPEG of quality 0", () -> ImageCodec.encodeJpeg(new byte[3], 1, 1, 0)),
                of(
                        "bits beyond the memory",
                        () -> ImageCodec.unpackBits(
                                Arena.ofAuto().allocate(1), 1, 8, Arena.ofAuto().allocate(64))),
                of(
                        "bits from the end of numbers",
                        () -> ImageCodec.unpackBits(
                                Arena.ofAuto().allocate(1),
                                MAX,
                                8,
                                Arena.ofAuto().allocate(64))),
                of(
                        "bits to too little memory",
                        () -> ImageCodec.unpackBits(
                                Arena.ofAuto().allocate(8),
                                0,
                                64,
                                Arena.ofAuto().allocate(63))),
                of(
                        "a loader's batch of no rows",
                        () -> load(DataLoader.of(images).batchSize(0))),
                of(
                        "a loader's batch of the most rows",
                        () -> load(DataLoader.of(images)
                                .columns("image")
                                .image("image", ImageTransform.resize(1 << 14, 1 << 14))
                                .batchSize(Integer.MAX_VALUE))),
                of(
                        "a loader that prefetches nothing",
                        () -> load(DataLoader.of(images).prefetch(0))),
                of("a loader that prefetches the most", () -> load(ids().prefetch(Integer.MAX_VALUE))),
                of("a loader with the most threads", () -> load(ids().decodeThreads(Integer.MAX_VALUE))),
                of("a loader with fewer than no threads", () -> load(ids().decodeThreads(-1))),
                of("a rank beyond the world", () -> load(ids().rank(2, 2))),
                of("a rank below 0", () -> load(ids().rank(-1, 2))),
                of("a world of none", () -> load(ids().rank(0, 0))),
                of("fewer than no samples", () -> load(ids().samples(-1))),
                of("a fragment of no rows", () -> LanceWriter.to("x", Schema.of(Field.int64("id")))
                        .maxRowsPerFile(0)),
                of("rows that wrap around", () -> append(MAX, 64)),
                of("rows that are too few", () -> append(3, 16)),
                of("fewer than no rows", () -> append(-1, 0)));
    }

    private static DataLoader.Builder ids() {
        return DataLoader.of(images).columns("id").column("id", column -> Tensor.of(new long[(int) column.length()]));
    }

    private static void load(DataLoader.Builder builder) {
        try (DataLoader loader = builder.open()) {
            loader.forEach(batch -> {});
        }
    }

    private static void read(Scan.Builder builder) {
        try (Scan scan = builder.open()) {
            for (RecordBatch batch; (batch = scan.next()) != null; ) {
                batch.close();
            }
        }
    }

    private interface Decoding {
        void run(ImageDecoder decoder, io.lancetorch.lance.Column column);
    }

    private static void withColumn(Decoding decoding, ImageTransform transform) {
        try (RecordBatch batch = images.take(new long[] {0, 1}, "image")) {
            decoding.run(new ImageDecoder(transform, 0), batch.column("image"));
        }
    }

    private static void decode(ImageTransform transform, long first, long count, long bytes) {
        withColumn(
                (decoder, column) ->
                        decoder.decode(column, first, count, Arena.ofAuto().allocate(bytes, 8)),
                transform);
    }

    private static void append(long rows, long bytes) {
        String uri = folder.resolve("never.lance").toString();
        try (var writer = LanceWriter.to(uri, Schema.of(Field.int64("id"))).open()) {
            writer.appendColumns(rows, Arena.ofAuto().allocate(bytes, 8));
        }
    }

    static Stream<Arguments> ranks() {
        return Stream.of(
                of("a port below 0", () -> Store.tcp("127.0.0.1", -1, true, 1, Duration.ofSeconds(1))
                        .close()),
                of("a port above all", () -> Store.tcp("127.0.0.1", 70_000, true, 1, Duration.ofSeconds(1))
                        .close()),
                of("a free port of another's", () -> Store.tcp("127.0.0.1", 0, false, 1, Duration.ofSeconds(1))
                        .close()),
                of("fewer than no ranks", () -> Store.tcp("127.0.0.1", 0, true, -7, Duration.ofSeconds(1))
                        .close()),
                of("an address that is none of this machine's", () -> Store.tcp(
                                "192.0.2.1", 0, true, 1, Duration.ofSeconds(1))
                        .close()),
                of("a host that is no name", () -> Store.tcp("", 0, true, 1, Duration.ofSeconds(1))
                        .close()),
                of("a rank beyond the ranks", () -> alone(1, group -> {})),
                of("a rank below 0", () -> alone(-1, group -> {})),
                of("a root beyond the ranks", () -> alone(0, group -> group.broadcast(floats(1), 1))),
                of("a root below 0", () -> alone(0, group -> group.broadcast(floats(1), Integer.MIN_VALUE))),
                of("an average of integers", () -> alone(0, group -> group.allReduce(longs(1), ReduceOp.AVERAGE))),
                of(
                        "a reduction of a view with gaps",
                        () -> alone(0, group -> group.allReduce(expand(floats(1), 4), ReduceOp.SUM))),
                of("outputs for no rank", () -> alone(0, group -> group.allGather(List.of(), floats(1)))),
                of(
                        "an output of another shape",
                        () -> alone(0, group -> group.allGather(List.of(floats(2)), floats(1)))),
                of(
                        "an output of another dtype",
                        () -> alone(0, group -> group.allGather(List.of(longs(1)), floats(1)))));
    }

    private interface Collectives {
        void run(ProcessGroup group);
    }

    private static void alone(int rank, Collectives body) {
        try (Store store = Store.tcp("127.0.0.1", 0, true, 1, Duration.ofSeconds(5));
                var group = ProcessGroup.gloo(store, rank, 1, "127.0.0.1", Duration.ofSeconds(5))) {
            body.run(group);
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource({"tensors", "datasets", "ranks"})
    void isATypedException(String name, ThrowingCallable use) {
        Throwable thrown = catchThrowable(use);
        assertThat(thrown).as(name).isInstanceOf(LanceTorchException.class);
        assertThat(thrown.getMessage()).isNotBlank();
    }
}
