package io.lancetorch.jmh;

import com.sun.management.ThreadMXBean;
import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.lance.Lance;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.Torch;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;

/**
 * A program that reads very many batches with a {@link DataLoader}, and says what a batch costs the Java heap, over all threads, and
 * what became of the resident memory and of the native bytes alive since the first batches.
 */
public final class Soak {
    private static final int REPORTS = 10;
    private static final int WARM_UP = 30_000;

    private Soak() {}

    /** The batches, the images' side, the rows of a batch, the threads. */
    public static void main(String[] arguments) throws IOException {
        long batches = Long.parseLong(arguments[0]);
        int size = Integer.parseInt(arguments[1]);
        int rows = Integer.parseInt(arguments[2]);
        int threads = Integer.parseInt(arguments[3]);
        long warmUp = Math.min(WARM_UP, batches / 3);
        try (LanceDataset dataset = LanceDataset.open(System.getProperty(Inputs.DATASET));
                DataLoader loader = LoaderBenchmark.loader(dataset, size, rows, threads, "float")
                        .dropLast()
                        .open()) {
            var reader = new Reader(loader);
            reader.read(warmUp);
            Sample first = Sample.take();
            Sample last = first;
            long read = 0;
            for (int report = 1; report <= REPORTS; report++) {
                long until = batches * report / REPORTS;
                reader.read(until - read);
                read = until;
                last = Sample.take();
                System.out.printf(
                        Locale.ROOT,
                        "%,10d batches: %,8.0f Java bytes a batch, RSS %.1f MB (%+.2f %%), native bytes alive %,d%n",
                        read,
                        (double) (last.javaBytes - first.javaBytes) / Math.max(1, read),
                        last.resident / 1e6,
                        100.0 * (last.resident - first.resident) / first.resident,
                        last.nativeBytes);
            }
        }
    }

    /** Reads on and on, epoch after epoch. */
    private static final class Reader {
        private final DataLoader loader;
        private Iterator<Batch> batches;
        private long epoch;

        Reader(DataLoader loader) {
            this.loader = loader;
            batches = loader.iterator();
        }

        void read(long count) {
            for (long i = 0; i < count; i++) {
                if (!batches.hasNext()) {
                    loader.setEpoch(++epoch);
                    batches = loader.iterator();
                }
                batches.next();
            }
        }
    }

    private record Sample(long javaBytes, long resident, long nativeBytes) {
        static Sample take() throws IOException {
            var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            return new Sample(
                    threads.getTotalThreadAllocatedBytes(), residentBytes(), Lance.liveBytes() + Torch.liveBytes());
        }

        /** Of /proc, in kB there. */
        private static long residentBytes() throws IOException {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmRSS:")) {
                    return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
            throw new IOException("/proc/self/status has no VmRSS");
        }
    }
}
