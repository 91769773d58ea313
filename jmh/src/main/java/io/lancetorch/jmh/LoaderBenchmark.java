package io.lancetorch.jmh;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.ShardedBatchSampler;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Iterator;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Batches a second of a {@link DataLoader}, epoch after epoch, the change of epochs included: JPEGs of a Lance dataset, shuffled by
 * batch, decoded by some threads to uint8 or float pixels, or read as such from a cache, with their labels.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 3)
@Measurement(iterations = 5, time = 3)
@Fork(1)
public class LoaderBenchmark {
    /** The loader, and where it is. */
    @State(Scope.Thread)
    public static class Input {
        @Param("1")
        public int threads;

        @Param("float")
        public String pixel;

        @Param("224")
        public int size;

        @Param("64")
        public int batch;

        /** Whether the images come decoded, from a cache that an epoch before the first iteration fills. */
        @Param("false")
        public boolean cached;

        private LanceDataset dataset;
        private DataLoader loader;
        private Iterator<Batch> batches = Collections.emptyIterator();
        private long epoch;

        @Setup
        public void open() {
            dataset = LanceDataset.open(System.getProperty(Inputs.DATASET));
            DataLoader.Builder builder =
                    loader(dataset, size, batch, threads, pixel).dropLast();
            if (cached) {
                String uri = cache();
                try (DataLoader whole = loader(dataset, size, batch, threads, pixel)
                        .cache(uri, Map.of())
                        .open()) {
                    for (Batch _ : whole) {}
                }
                builder.cache(uri, Map.of());
            }
            loader = builder.open();
        }

        /** One for each dataset and transform. */
        private String cache() {
            String what = dataset.uri() + " " + dataset.version() + " " + size + " " + pixel;
            return Path.of(
                            System.getProperty(Inputs.FOLDER),
                            "cache-" + Integer.toHexString(what.hashCode()) + ".lance")
                    .toString();
        }

        private Batch next() {
            if (!batches.hasNext()) {
                loader.setEpoch(epoch++);
                batches = loader.iterator();
            }
            return batches.next();
        }

        @TearDown
        public void close() {
            loader.close();
            dataset.close();
        }
    }

    /** The loader of this case, of the column that {@link Inputs#COLUMN} names and of the labels where there are any. */
    static DataLoader.Builder loader(LanceDataset dataset, int size, int batch, int threads, String pixel) {
        String column = System.getProperty(Inputs.COLUMN, Inputs.IMAGE);
        ImageTransform transform = ImageTransform.resize(size, size);
        boolean labelled = dataset.schema().names().contains(Inputs.LABEL);
        return DataLoader.of(dataset)
                .columns(labelled ? new String[] {column, Inputs.LABEL} : new String[] {column})
                .image(column, pixel.equals("uint8") ? transform.uint8() : transform)
                .sampler(new ShardedBatchSampler())
                .batchSize(batch)
                .decodeThreads(threads);
    }

    @Benchmark
    public int lancetorch(Input input) {
        return input.next().rows();
    }
}
