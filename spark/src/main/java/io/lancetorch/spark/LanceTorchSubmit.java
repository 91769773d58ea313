package io.lancetorch.spark;

import java.util.List;
import org.apache.spark.sql.SparkSession;

/**
 * Runs a main class as ranks on Spark, without a driver program of one's own:
 * {@code spark-submit --class io.lancetorch.spark.LanceTorchSubmit lancetorch-spark.jar 4 my.Trainer ARGUMENT...}
 */
public final class LanceTorchSubmit {
    private LanceTorchSubmit() {}

    /** {@code arguments}: the number of ranks, the main class, and its arguments. */
    public static void main(String[] arguments) {
        if (arguments.length < 2 || !arguments[0].matches("[1-9][0-9]{0,6}")) {
            throw new IllegalArgumentException("usage: spark-submit --class " + LanceTorchSubmit.class.getName()
                    + " lancetorch-spark.jar RANKS MAIN_CLASS [ARGUMENT...]");
        }
        SparkSession spark = SparkSession.builder().getOrCreate();
        try {
            LanceTorchDistributor.run(
                    spark,
                    Integer.parseInt(arguments[0]),
                    arguments[1],
                    List.of(arguments).subList(2, arguments.length));
        } finally {
            spark.stop();
        }
    }
}
