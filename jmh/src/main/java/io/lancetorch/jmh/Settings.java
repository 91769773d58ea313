package io.lancetorch.jmh;

import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.IntStream;

/**
 * What a run of the benchmarks was told. {@code root}: the repository. {@code folder}: where inputs, logs and the Python
 * environment lie. {@code dataset}, {@code files}: the images of the loader case, as a Lance dataset and as a tree of files
 * by class; {@code column} holds them. {@code threads}: the most decoding threads. {@code quick}: one short iteration each.
 */
record Settings(
        Path root,
        Path folder,
        String dataset,
        Path files,
        String column,
        int threads,
        int imageSize,
        int batchSize,
        boolean quick) {

    /** 1, 2, 4, ... and the most. */
    List<Integer> threadCounts() {
        var counts = new TreeSet<Integer>();
        IntStream.iterate(1, count -> count < threads, count -> count * 2).forEach(counts::add);
        counts.add(threads);
        return List.copyOf(counts);
    }
}
