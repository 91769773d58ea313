package io.lancetorch.jmh;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.lance.LanceDataset;
import java.util.Locale;

/**
 * A program that prints a line when the loader has given its first batch, and another with the images a second of its first
 * epoch, from the opening of the dataset on. Who started it takes the time of the first line.
 */
public final class FirstEpoch {
    private FirstEpoch() {}

    /** The images' side, the rows of a batch, the threads, and float or uint8. */
    public static void main(String[] arguments) {
        int size = Integer.parseInt(arguments[0]);
        int rows = Integer.parseInt(arguments[1]);
        int threads = Integer.parseInt(arguments[2]);
        long begin = System.nanoTime();
        long images = 0;
        try (LanceDataset dataset = LanceDataset.open(System.getProperty(Inputs.DATASET));
                DataLoader loader = LoaderBenchmark.loader(dataset, size, rows, threads, arguments[3])
                        .open()) {
            for (Batch batch : loader) {
                if (images == 0) {
                    System.out.println("first batch " + batch);
                }
                images += batch.rows();
            }
        }
        System.out.printf(Locale.ROOT, "%.1f%n", images * 1e9 / (System.nanoTime() - begin));
    }
}
