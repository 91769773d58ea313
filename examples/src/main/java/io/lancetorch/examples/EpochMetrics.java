package io.lancetorch.examples;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.error.StorageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * What an epoch was, over all ranks; of an epoch in which the run was resumed, what came after that.
 *
 * @param loss the mean over the images seen, each as its batch found it
 * @param imagesPerSecond of all ranks together
 * @param dataWaitFraction the share of the epoch that ranks waited for the loader, their mean
 * @param valAccuracy null where nothing was held out
 * @param imagesSeen each counted once; left out are repeats that fill a batch up, and images that cannot be decoded
 */
record EpochMetrics(
        @JsonProperty("epoch") int epoch,
        @JsonProperty("loss") double loss,
        @JsonProperty("epoch_seconds") double epochSeconds,
        @JsonProperty("images_per_second") double imagesPerSecond,
        @JsonProperty("data_wait_fraction") double dataWaitFraction,
        @JsonProperty("val_accuracy") Double valAccuracy,
        @JsonProperty("val_images") long valImages,
        @JsonProperty("world_size") int worldSize,
        @JsonProperty("images_seen") long imagesSeen,
        @JsonProperty("steps") int steps) {

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

    void append(Path file) throws IOException {
        String line = new ObjectMapper().writeValueAsString(this) + "\n";
        try {
            Files.writeString(file, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new StorageException("cannot write the metrics of epoch " + epoch + " to " + file + ": " + e, e);
        }
    }
}
