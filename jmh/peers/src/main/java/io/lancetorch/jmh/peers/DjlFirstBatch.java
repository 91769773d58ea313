package io.lancetorch.jmh.peers;

import ai.djl.ndarray.NDManager;
import ai.djl.training.dataset.Batch;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A program that prints a line when DJL's ImageFolder has given its first batch; who started it takes the time, and ends it. */
public final class DjlFirstBatch {
    private DjlFirstBatch() {}

    /** The folder of files, the images' side, the rows of a batch, the threads, opencv or buffered. */
    public static void main(String[] arguments) throws Exception {
        Path files = Path.of(arguments[0]);
        int size = Integer.parseInt(arguments[1]);
        int rows = Integer.parseInt(arguments[2]);
        int threads = Integer.parseInt(arguments[3]);
        DjlImages.use(arguments[4]);
        ExecutorService executor = Executors.newFixedThreadPool(threads);
        try (NDManager manager = NDManager.newBaseManager()) {
            for (Batch batch :
                    DjlImages.folder(files, size, rows, true, threads).getData(manager, executor)) {
                System.out.println("first batch " + batch.getData().head().getShape());
            }
        }
    }
}
