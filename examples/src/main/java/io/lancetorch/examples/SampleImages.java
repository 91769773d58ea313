package io.lancetorch.examples;

import io.lancetorch.data.Batch;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.imageio.ImageIO;

/** Some of a batch's images as PNGs, each with its label and what the model takes it for. */
final class SampleImages {
    private static final int MOST = 16;
    private static final String FOLDER = "samples";

    private SampleImages() {}

    /**
     * Writes them below {@code folder}, and tells of them.
     *
     * @param logits [N, classes], of the batch's images [N, 3, H, W] with values from 0 to 1
     */
    static void write(Path folder, Batch batch, Tensor logits, List<String> classes, RunTracking tracking) {
        long[] labels = batch.get(DatasetCreation.LABEL).toLongs();
        long[] shape = batch.get(DatasetCreation.IMAGE).shape();
        float[] pixels = batch.get(DatasetCreation.IMAGE).toFloats();
        float[] probabilities = Ops.softmax(logits, 1).toFloats();
        try {
            Files.createDirectories(folder.resolve(FOLDER));
            int written = 0;
            for (int row = 0; row < labels.length && written < MOST; row++) {
                if (!batch.isValid(row)) {
                    continue;
                }
                int guess = largest(probabilities, row * classes.size(), classes.size());
                Map<String, String> about = new LinkedHashMap<>();
                about.put("label", name(classes, labels[row]));
                about.put("prediction", classes.get(guess));
                about.put(
                        "confidence", String.format(Locale.ROOT, "%.3f", probabilities[row * classes.size() + guess]));
                String name = FOLDER + String.format(Locale.ROOT, "/%02d", written++);
                Path file = folder.resolve(name + ".png");
                ImageIO.write(picture(pixels, row, (int) shape[2], (int) shape[3]), "png", file.toFile());
                tracking.image(name, file, about);
            }
        } catch (IOException e) {
            RunTracking.say("the run goes on without images in " + folder.resolve(FOLDER) + ": " + e);
        }
    }

    private static String name(List<String> classes, long label) {
        return label >= 0 && label < classes.size() ? classes.get((int) label) : Long.toString(label);
    }

    private static int largest(float[] values, int from, int count) {
        int best = 0;
        for (int i = 1; i < count; i++) {
            if (values[from + i] > values[from + best]) {
                best = i;
            }
        }
        return best;
    }

    private static BufferedImage picture(float[] pixels, int row, int height, int width) {
        var picture = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        int plane = height * width;
        for (int i = 0; i < plane; i++) {
            int rgb = 0;
            for (int channel = 0; channel < 3; channel++) {
                float value = pixels[(3 * row + channel) * plane + i];
                rgb = rgb << 8 | Math.clamp(Math.round(255 * value), 0, 255);
            }
            picture.setRGB(i % width, i / width, rgb);
        }
        return picture;
    }
}
