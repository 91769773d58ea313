package io.lancetorch.spark;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.spark.sql.SparkSession;

/** A driver program as a user writes one, with functions for ranks. */
public final class TestDriver {
    private TestDriver() {}

    /** {@code arguments}: what to do, with how many ranks or parts, and for some a dataset. */
    public static void main(String[] arguments) throws Exception {
        SparkSession spark = SparkSession.builder().getOrCreate();
        try {
            int ranks = Integer.parseInt(arguments[1]);
            switch (arguments[0]) {
                case "environment" -> environment(spark, ranks);
                case "fail" -> fail(spark, ranks);
                case "write" -> write(spark, ranks, arguments[2]);
                case "append" -> {
                    List<String> sources = sources(ranks, ranks, arguments[2]);
                    System.out.println(
                            "wrote version " + LanceDatasetWriter.write(spark, sources, NumberParts.class.getName()));
                }
                case "cancel" -> cancel(spark, ranks);
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        } finally {
            spark.stop();
        }
    }

    private static void environment(SparkSession spark, int ranks) {
        String captured = "captured " + ranks;
        // START SNIPPET: function
        List<TreeMap<String, String>> results = LanceTorchDistributor.run(spark, ranks, () -> {
            System.out.println("a line of " + System.getenv("RANK") + ", " + captured);
            var variables = new TreeMap<>(System.getenv());
            variables.put("java", Runtime.version().feature() + "");
            return variables;
        });
        // END SNIPPET: function
        for (Map<String, String> result : results) {
            result.keySet()
                    .retainAll(List.of(
                            "RANK",
                            "WORLD_SIZE",
                            "LOCAL_RANK",
                            "LOCAL_WORLD_SIZE",
                            "GROUP_RANK",
                            "MASTER_ADDR",
                            "GLOO_SOCKET_HOST",
                            "TORCHELASTIC_RESTART_COUNT",
                            "TORCHELASTIC_MAX_RESTARTS",
                            "GREETING",
                            "java"));
            System.out.println("returned " + result);
        }
    }

    /** Rank 1 fails, the others would sleep for very long. */
    private static void fail(SparkSession spark, int ranks) {
        try {
            LanceTorchDistributor.run(spark, ranks, () -> {
                System.out.println("attempt " + System.getenv("TORCHELASTIC_RESTART_COUNT"));
                if (System.getenv("RANK").equals("1")) {
                    throw new IllegalStateException("this rank cannot");
                }
                Thread.sleep(3_600_000);
                return "";
            });
        } catch (RankFailedException e) {
            System.out.println("failed: " + e.getMessage());
        }
    }

    /** A thousand numbers in each. */
    private static List<String> sources(int first, int parts, String dataset) {
        return IntStream.range(first, first + parts)
                .mapToObj(part -> dataset + " " + 1000 * part + " " + 1000 * (part + 1))
                .toList();
    }

    private static void write(SparkSession spark, int parts, String dataset) {
        try {
            long version = LanceDatasetWriter.write(spark, sources(0, parts, dataset), new NumberParts());
            System.out.println("wrote version " + version);
        } catch (RankFailedException e) {
            System.out.println("failed: " + e.getMessage());
        }
    }

    /** Ranks that sleep until their job is cancelled, at a byte of this program's input. */
    private static void cancel(SparkSession spark, int ranks) throws Exception {
        var thread = new Thread(() -> {
            spark.sparkContext().setJobGroup("training", "training", false);
            try {
                LanceTorchDistributor.run(spark, ranks, () -> {
                    System.out.println("sleeping");
                    Thread.sleep(3_600_000);
                    return "";
                });
            } catch (Exception e) {
                System.out.println("ended: " + e.getMessage());
            }
        });
        thread.start();
        System.in.read();
        spark.sparkContext().cancelJobGroup("training");
        thread.join();
    }
}
