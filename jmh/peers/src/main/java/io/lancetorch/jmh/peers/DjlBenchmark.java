package io.lancetorch.jmh.peers;

import ai.djl.basicdataset.cv.classification.ImageFolder;
import ai.djl.engine.Engine;
import ai.djl.modality.cv.Image;
import ai.djl.modality.cv.ImageFactory;
import ai.djl.modality.cv.transform.Resize;
import ai.djl.modality.cv.transform.ToTensor;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.training.dataset.Batch;
import ai.djl.translate.StackBatchifier;
import ai.djl.translate.TranslateException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * DJL with its PyTorch engine: JPEGs to float pixels one by one, to a batch with its labels, and by its whole ImageFolder
 * pipeline. Each with both of DJL's image libraries; libtorch's own threads are kept to one by the caller's properties.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class DjlBenchmark {
    static final int DECODED = 64;

    /** Some JPEGs in memory. */
    @State(Scope.Thread)
    public static class Jpegs {
        @Param({"opencv", "buffered"})
        public String factory;

        @Param("224")
        public int size;

        private NDManager manager;
        private List<byte[]> files;
        private Resize resize;
        private final ToTensor toTensor = new ToTensor();

        @Setup
        public void read() throws IOException {
            DjlImages.use(factory);
            manager = NDManager.newBaseManager(Engine.getInstance().defaultDevice());
            resize = new Resize(size, size);
            try (Stream<Path> tree = Files.walk(Path.of(System.getProperty("lancetorch.bench.files")))) {
                files = tree.filter(Files::isRegularFile)
                        .sorted()
                        .limit(DECODED)
                        .map(DjlBenchmark::bytes)
                        .toList();
            }
            if (files.size() != DECODED) {
                throw new IllegalStateException(files.size() + " JPEGs, not the " + DECODED + " of this benchmark");
            }
        }

        private NDArray decode(NDManager within, byte[] file) throws IOException {
            Image image = ImageFactory.getInstance().fromInputStream(new ByteArrayInputStream(file));
            return toTensor.transform(resize.transform(image.toNDArray(within)));
        }

        @TearDown
        public void close() {
            manager.close();
        }
    }

    /** The pipeline, which begins anew at its end. */
    @State(Scope.Thread)
    public static class Loader {
        @Param({"opencv", "buffered"})
        public String factory;

        @Param("224")
        public int size;

        @Param("64")
        public int batch;

        @Param("1")
        public int threads;

        private NDManager manager;
        private ExecutorService executor;
        private ImageFolder folder;
        private Iterator<Batch> batches = List.<Batch>of().iterator();

        @Setup
        public void open() throws IOException, TranslateException {
            DjlImages.use(factory);
            manager = NDManager.newBaseManager(Engine.getInstance().defaultDevice());
            executor = Executors.newFixedThreadPool(threads);
            Path files = Path.of(System.getProperty("lancetorch.bench.files"));
            folder = DjlImages.folder(files, size, batch, true, threads);
        }

        private Batch next() throws IOException, TranslateException {
            if (!batches.hasNext()) {
                batches = folder.getData(manager, executor).iterator();
            }
            return batches.next();
        }

        @TearDown
        public void close() {
            executor.shutdownNow();
            manager.close();
        }
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Benchmark
    @OperationsPerInvocation(DECODED)
    public void decode(Jpegs jpegs) throws IOException {
        for (byte[] file : jpegs.files) {
            try (NDManager within = jpegs.manager.newSubManager()) {
                jpegs.decode(within, file);
            }
        }
    }

    @Benchmark
    @OperationsPerInvocation(DECODED)
    public long batch(Jpegs jpegs) throws IOException {
        try (NDManager within = jpegs.manager.newSubManager()) {
            NDList[] images = new NDList[DECODED];
            long[] labels = new long[DECODED];
            for (int i = 0; i < DECODED; i++) {
                images[i] = new NDList(jpegs.decode(within, jpegs.files.get(i)));
                labels[i] = i % 10;
            }
            NDList batch = new StackBatchifier().batchify(images);
            return batch.head().getShape().get(0) + within.create(labels).size();
        }
    }

    /** One batch of the loader. */
    @Benchmark
    public long loader(Loader loader) throws IOException, TranslateException {
        try (Batch batch = loader.next()) {
            return batch.getData().head().getShape().get(0);
        }
    }
}
