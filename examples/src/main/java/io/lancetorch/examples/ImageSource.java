package io.lancetorch.examples;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.Stream;

/** Encoded images with their labels, in an order that depends on the source and the seed alone. */
interface ImageSource {
    /** Class names; a label is an index into them. */
    List<String> classes();

    int size();

    int label(int index);

    byte[] image(int index) throws IOException;

    /** A source of files: index order is given, bytes are read when asked for. */
    record FileSource(List<String> classes, List<Path> files, List<Integer> labels) implements ImageSource {
        @Override
        public int size() {
            return files.size();
        }

        @Override
        public int label(int index) {
            return labels.get(index);
        }

        @Override
        public byte[] image(int index) throws IOException {
            return Files.readAllBytes(files.get(index));
        }

        /** The same images in a random order. */
        FileSource shuffled(long seed) {
            List<Integer> order = new ArrayList<>();
            for (int i = 0; i < files.size(); i++) {
                order.add(i);
            }
            Collections.shuffle(order, new Random(seed));
            return new FileSource(
                    classes,
                    order.stream().map(files::get).toList(),
                    order.stream().map(labels::get).toList());
        }
    }

    /**
     * Reads a folder of class folders, or Food-101's archive, which has {@code images/} and {@code meta/} and is read by its
     * list for {@code split}, {@code train} or {@code test}.
     */
    static FileSource open(Path root, String split) throws IOException {
        if (!Files.isDirectory(root)) {
            throw new UserException("no folder " + root);
        }
        Path list = root.resolve("meta").resolve(split + ".txt");
        FileSource source = Files.isDirectory(root.resolve("images")) && Files.isDirectory(root.resolve("meta"))
                ? food101(root.resolve("images"), list)
                : imageFolder(root);
        if (source.size() == 0) {
            throw new UserException("no .jpg, .jpeg or .png files below " + root + ": expected " + root
                    + "/<class>/<image>.jpg, or Food-101's images/ and meta/");
        }
        return source;
    }

    private static FileSource imageFolder(Path root) throws IOException {
        List<String> classes = new ArrayList<>();
        List<Path> files = new ArrayList<>();
        List<Integer> labels = new ArrayList<>();
        for (Path folder : sorted(root)) {
            if (Files.isDirectory(folder)) {
                List<Path> images =
                        sorted(folder).stream().filter(ImageSource::isImage).toList();
                if (!images.isEmpty()) {
                    images.forEach(image -> {
                        files.add(image);
                        labels.add(classes.size());
                    });
                    classes.add(folder.getFileName().toString());
                }
            }
        }
        return new FileSource(classes, files, labels);
    }

    private static FileSource food101(Path images, Path list) throws IOException {
        if (!Files.isRegularFile(list)) {
            throw new UserException("no " + list + ": Food-101 has meta/train.txt and meta/test.txt");
        }
        List<String> entries = Files.readAllLines(list).stream()
                .map(String::strip)
                .filter(line -> !line.isEmpty())
                .toList();
        List<String> classes = entries.stream()
                .map(entry -> entry.substring(0, Math.max(0, entry.indexOf('/'))))
                .distinct()
                .sorted()
                .toList();
        List<Path> files = new ArrayList<>();
        List<Integer> labels = new ArrayList<>();
        for (String entry : entries) {
            Path file = images.resolve(entry + ".jpg").normalize();
            if (!file.startsWith(images.normalize()) || !Files.isRegularFile(file)) {
                throw new UserException(list + " names " + entry + ", but there is no " + file);
            }
            files.add(file);
            labels.add(Collections.binarySearch(classes, entry.substring(0, entry.indexOf('/'))));
        }
        return new FileSource(classes, files, labels);
    }

    private static List<Path> sorted(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.sorted().toList();
        }
    }

    private static boolean isImage(Path file) {
        String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
        return name.endsWith(".jpg") || name.endsWith(".jpeg") || name.endsWith(".png");
    }
}
