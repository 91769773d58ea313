package io.lancetorch.examples;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What an epoch was, over all ranks; of an epoch in which the run was resumed, what came after that.
 *
 * @param loss the mean over the images seen, each as its batch found it
 * @param imagesPerSecond of all ranks together
 * @param dataWaitFraction the share of the epoch that ranks waited for the loader, their mean
 * @param valAccuracy null where nothing was held out
 * @param imagesSeen each counted once; left out are repeats that fill a batch up, and images that cannot be decoded
 * @param ranks what each rank did
 */
record EpochMetrics(
        int epoch,
        double loss,
        double epochSeconds,
        double imagesPerSecond,
        double dataWaitFraction,
        Double valAccuracy,
        long valImages,
        int worldSize,
        long imagesSeen,
        int steps,
        List<Rank> ranks) {
    /** The figure that only whole epochs have. */
    static final String EPOCH = "epoch";

    /** One rank's part. */
    record Rank(double imagesPerSecond, double dataWaitFraction) {}

    String line(int epochs) {
        return String.format(
                Locale.ROOT,
                "epoch %d/%d  loss %.4f  %.1f s  %.1f images/s  waiting %.1f %%%s",
                epoch + 1,
                epochs,
                loss,
                epochSeconds,
                imagesPerSecond,
                100 * dataWaitFraction,
                valAccuracy == null ? "" : String.format(Locale.ROOT, "  validation accuracy %.4f", valAccuracy));
    }

    /** Under the names of trackers. */
    Map<String, Double> values() {
        Map<String, Double> values = new LinkedHashMap<>();
        values.put(EPOCH, (double) epoch);
        values.put("loss", loss);
        values.put("epoch_seconds", epochSeconds);
        values.put("images_per_second", imagesPerSecond);
        values.put("data_wait_fraction", dataWaitFraction);
        if (valAccuracy != null) {
            values.put("val_accuracy", valAccuracy);
        }
        values.put("val_images", (double) valImages);
        values.put("world_size", (double) worldSize);
        values.put("images_seen", (double) imagesSeen);
        values.put("steps", (double) steps);
        for (int rank = 0; rank < ranks.size(); rank++) {
            values.put("rank/" + rank + "/images_per_second", ranks.get(rank).imagesPerSecond);
            values.put("rank/" + rank + "/data_wait_fraction", ranks.get(rank).dataWaitFraction);
        }
        return values;
    }
}
