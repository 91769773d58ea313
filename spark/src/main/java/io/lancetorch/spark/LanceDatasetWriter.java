package io.lancetorch.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.SparkSession;

/**
 * Writes a Lance dataset by many Spark tasks at once: each writes fragments apart, and the driver commits them all together. A
 * task that fails is tried anew by Spark, {@code spark.task.maxFailures} times in all; what it had written until then belongs to no
 * version of the dataset, so that each row is there once, and readers see all rows or none.
 *
 * <p>Each task, and the commit, runs in a JVM of its own, as the ranks of {@link LanceTorchDistributor} do, by the same
 * {@linkplain io.lancetorch.spark settings}. Any thread.
 */
public final class LanceDatasetWriter {
    private LanceDatasetWriter() {}

    /**
     * Writes a part for each of {@code sources} and commits them in this order; returns the dataset's version.
     *
     * @throws RankFailedException where a part has failed at each attempt, and then nothing is committed; or the commit
     * @throws IllegalArgumentException where there are no sources, or parts or sources cannot be serialized
     */
    public static <S extends Serializable> long write(SparkSession spark, List<S> sources, DatasetParts<S> parts) {
        return write(spark, sources, new Parts<>(parts, null));
    }

    /**
     * As {@link #write(SparkSession, List, DatasetParts)}, by the class of that name, which has a public constructor without
     * parameters, and which the driver and the executors do not load.
     */
    public static <S extends Serializable> long write(SparkSession spark, List<S> sources, String partsClass) {
        return write(spark, sources, new Parts<S>(null, partsClass));
    }

    /** The user's object, or the name of its class. */
    private record Parts<S extends Serializable>(DatasetParts<S> object, String className) implements Serializable {
        @SuppressWarnings("unchecked")
        DatasetParts<S> get() throws ReflectiveOperationException {
            return object != null
                    ? object
                    : (DatasetParts<S>)
                            Class.forName(className).getConstructor().newInstance();
        }
    }

    private record Writing<S extends Serializable>(Parts<S> parts, S source) implements RankFunction<String> {
        @Override
        public String call() throws Exception {
            return parts.get().write(source);
        }
    }

    private record Commit<S extends Serializable>(Parts<S> parts, ArrayList<String> written)
            implements RankFunction<Long> {
        @Override
        public Long call() throws Exception {
            return parts.get().commit(written);
        }
    }

    /** Runs one function of those that are dealt to the tasks. */
    private record Task(RankSettings settings, int parts, LogServer.Address driver)
            implements Function<byte[], byte[]> {
        @Override
        public byte[] call(byte[] function) throws Exception {
            TaskContext context = TaskContext.get();
            String name = "part " + context.partitionId();
            String host = SparkEnv.get().blockManager().blockManagerId().host();
            try (var child = new RankChild(settings, environment(settings), function, new RankLines(name, driver))) {
                return child.await(name + " of " + parts + " on " + host, false, context::isInterrupted);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new TaskKilledException("interrupted");
            }
        }
    }

    private static Map<String, String> environment(RankSettings settings) {
        Map<String, String> environment = new HashMap<>(settings.environment());
        environment.put("RANK", null);
        return environment;
    }

    private static <S extends Serializable> long write(SparkSession spark, List<S> sources, Parts<S> parts) {
        if (sources.isEmpty()) {
            throw new IllegalArgumentException("there are no sources to write");
        }
        RankSettings settings = RankSettings.of(spark);
        SparkContext context = spark.sparkContext();
        List<byte[]> functions = new ArrayList<>();
        for (S source : sources) {
            functions.add(bytes(new Writing<>(parts, source)));
        }
        try (LogServer lines = LogServer.of(context, settings)) {
            LogServer.Address driver = lines == null ? null : lines.address();
            var written = new ArrayList<String>();
            for (byte[] result : collect(context, functions, new Task(settings, functions.size(), driver))) {
                written.add((String) Serialization.read(result));
            }
            byte[] commit = bytes(new Commit<>(parts, written));
            try (var child = new RankChild(settings, environment(settings), commit, new RankLines("commit", driver))) {
                byte[] version = child.await("the commit of " + written.size() + " parts", false, () -> false);
                return (Long) Serialization.read(version);
            }
        } catch (IOException | ClassNotFoundException e) {
            throw new IllegalStateException("while writing " + sources.size() + " parts: " + e, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while writing " + sources.size() + " parts", e);
        }
    }

    private static byte[] bytes(Serializable function) {
        try {
            return Serialization.write(function);
        } catch (IOException e) {
            throw new IllegalArgumentException("parts or sources cannot be sent to the tasks: " + e, e);
        }
    }

    private static List<byte[]> collect(SparkContext context, List<byte[]> functions, Task task) {
        try {
            return JavaSparkContext.fromSparkContext(context)
                    .parallelize(functions, functions.size())
                    .map(task)
                    .collect();
        } catch (Exception e) { // Spark's are checked, and thrown undeclared
            throw RankFailedException.orElse(e);
        }
    }
}
