package io.lancetorch.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.spark.HashPartitioner;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

/**
 * Runs ranks as the tasks of a Spark barrier stage: all at once, or none. Each task starts its rank as a JVM of its own, with
 * the variables that torchrun sets: {@code MASTER_ADDR} is the host of rank 0's executor, {@code MASTER_PORT} a port that is
 * free there, {@code LOCAL_RANK} counts the ranks on one host, and {@code TORCHELASTIC_RESTART_COUNT} the attempts of the stage.
 * When a rank fails, Spark ends the others and starts the stage anew, {@code spark.stage.maxConsecutiveAttempts} times in all: a
 * trainer that keeps checkpoints goes on from there. When a task is cancelled, or its executor or the driver is gone, so is the
 * rank.
 *
 * <p>What ranks print is printed by the driver too, each line with its rank. The settings are in
 * {@linkplain io.lancetorch.spark the package's description}. Any thread.
 */
public final class LanceTorchDistributor {
    private static final long POLL_MILLIS = 100;

    private LanceTorchDistributor() {}

    /**
     * Runs {@code function} as each of {@code numRanks} ranks, and returns what they returned, by rank.
     *
     * @throws RankFailedException where a rank has failed at each attempt
     * @throws IllegalStateException where the cluster has fewer slots than there are ranks
     * @throws IllegalArgumentException where numRanks is less than 1, or the function cannot be serialized
     */
    public static <T extends Serializable> List<T> run(SparkSession spark, int numRanks, RankFunction<T> function) {
        if (numRanks < 1) {
            throw new IllegalArgumentException("numRanks is " + numRanks + ", and must be 1 or more");
        }
        byte[] bytes;
        try {
            bytes = Serialization.write(function);
        } catch (IOException e) {
            throw new IllegalArgumentException("the function cannot be sent to the ranks: " + e, e);
        }
        RankSettings settings = RankSettings.of(spark);
        SparkContext context = spark.sparkContext();
        requireSlots(context, numRanks, settings.slotsTimeoutSeconds());
        List<T> results = new ArrayList<>();
        try (LogServer lines = LogServer.of(context, settings)) {
            var task = new RankTask(
                    settings, bytes, function instanceof MainClass, lines == null ? null : lines.address());
            for (byte[] result : collect(context, numRanks, task)) {
                @SuppressWarnings("unchecked")
                T value = (T) Serialization.read(result);
                results.add(value);
            }
            return results;
        } catch (IOException | ClassNotFoundException e) {
            throw new IllegalStateException("while running " + numRanks + " ranks: " + e, e);
        }
    }

    /**
     * Runs {@code mainClass} with {@code arguments} as each of {@code numRanks} ranks; the class is on the class path of the
     * ranks alone. A rank that ends with another status than 0 has failed.
     *
     * @throws RankFailedException where a rank has failed at each attempt
     * @throws IllegalStateException where the cluster has fewer slots than there are ranks
     * @throws IllegalArgumentException where numRanks is less than 1
     */
    public static void run(SparkSession spark, int numRanks, String mainClass, List<String> arguments) {
        run(spark, numRanks, new MainClass(mainClass, arguments));
    }

    /** The results, by rank. Spark tries only those stages anew that are followed by another one: so the results are shuffled. */
    private static Collection<byte[]> collect(SparkContext context, int numRanks, RankTask task) {
        ClassTag<Tuple2<Integer, byte[]>> results = ClassTag$.MODULE$.apply(Tuple2.class);
        JavaRDD<Integer> ranks = JavaSparkContext.fromSparkContext(context)
                .parallelize(IntStream.range(0, numRanks).boxed().toList(), numRanks);
        try {
            return new TreeMap<>(new JavaRDD<>(ranks.rdd().barrier().mapPartitions(task, false, results), results)
                            .mapToPair(result -> result)
                            .partitionBy(new HashPartitioner(1))
                            .collectAsMap())
                    .values();
        } catch (Exception e) { // Spark's are checked, and thrown undeclared
            throw RankFailedException.orElse(e);
        }
    }

    /** Spark itself would try for ten minutes, and say nothing meanwhile. */
    private static void requireSlots(SparkContext context, int numRanks, int timeoutSeconds) {
        ResourceProfile profile = context.resourceProfileManager().defaultResourceProfile();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(timeoutSeconds);
        try {
            for (int slots = context.maxNumConcurrentTasks(profile);
                    slots < numRanks;
                    slots = context.maxNumConcurrentTasks(profile)) {
                if (System.nanoTime() >= deadline) {
                    throw new IllegalStateException(numRanks + " ranks run at the same time and need " + numRanks
                            + " slots, and after " + timeoutSeconds + " s the executors have " + slots
                            + " (their cores / spark.task.cpus): give the application more, or ask for fewer ranks");
                }
                Thread.sleep(POLL_MILLIS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for executors", e);
        }
    }
}
