package io.lancetorch.data;

import io.lancetorch.error.InternalException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.lance.Schema;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Decoded images of a dataset, as bytes, in a Lance dataset of their own: a column with each row's position in the source, and
 * one of {@code 3 * height * width} bytes for each image column. Ranks append to it on their own account, and read what all of
 * them have written. One iteration at a time adds rows; 8 bytes of heap are used for each row of the source.
 */
final class DecodeCache {
    private static final String POSITION = "source_row";
    private static final String CONTENT = "lancetorch.cache";
    private static final long MAX_FILE_BYTES = 1L << 30;

    private final String uri;
    private final Map<String, String> storageOptions;
    private final LanceDataset source;
    private final Map<String, ImageTransform> images;
    private final Schema schema;
    private final String content;
    private final RowPositions positions;
    /** The version of the cache that {@code places} is of. */
    private long indexed;
    /** For each row of the source: where it is in the cache, counted from 1; 0 where it is not. Never changed, but replaced. */
    private long[] places;

    private boolean adding;

    private DecodeCache(
            String uri, Map<String, String> storageOptions, LanceDataset source, Map<String, ImageTransform> images) {
        this.uri = uri;
        this.storageOptions = storageOptions;
        this.source = source;
        this.images = new TreeMap<>(images);
        positions = new RowPositions(source.fragments());
        List<Field> fields = new ArrayList<>(List.of(Field.int64(POSITION)));
        this.images.forEach((column, transform) -> fields.add(Field.fixedSizeList(
                column, Field.uint8("item"), Math.toIntExact(transform.uint8().imageBytes()))));
        content = content();
        schema = new Schema(fields, Map.of(CONTENT, content));
    }

    /** Beside the dataset, and named after it. */
    static String defaultUri(LanceDataset dataset) {
        String uri = dataset.uri();
        while (uri.endsWith("/")) {
            uri = uri.substring(0, uri.length() - 1);
        }
        return (uri.endsWith(".lance") ? uri.substring(0, uri.length() - 6) : uri) + ".cache.lance";
    }

    /**
     * What the cached bytes depend on, in words. A dataset that was written anew at the same place has the same version and
     * perhaps as many rows; so the encoded images of some of its rows are part of it.
     */
    private String content() {
        var text = new StringBuilder(
                "version " + source.version() + " of " + positions.total() + " rows with the images ");
        text.append(digest());
        images.forEach((column, transform) ->
                text.append(", ").append(column).append(' ').append(transform.uint8()));
        return text.toString();
    }

    /** Of the images of the first row, the middle one and the last. */
    private String digest() {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new InternalException("every Java has SHA-256", e);
        }
        long rows = positions.total();
        long[] some = rows == 0 ? new long[0] : new long[] {0, rows / 2, rows - 1};
        try (RecordBatch batch = source.take(some, List.copyOf(images.keySet()), false)) {
            for (String column : images.keySet()) {
                for (int row = 0; row < some.length; row++) {
                    MemorySegment bytes = batch.column(column).bytes(row);
                    digest.update((byte) (bytes == null ? 0 : 1));
                    if (bytes != null) {
                        digest.update(bytes.asByteBuffer());
                    }
                }
            }
        }
        return HexFormat.of().formatHex(digest.digest(), 0, 8);
    }

    /** Opens the cache, or makes an empty one. */
    static DecodeCache open(
            String uri, Map<String, String> storageOptions, LanceDataset source, Map<String, ImageTransform> images) {
        if (images.isEmpty()) {
            throw new InvalidArgumentException("a cache of decoded images, but no column is an image(...)");
        }
        images.forEach((column, transform) -> {
            if (transform.isRandom()) {
                throw new UnsupportedException("column " + column + " has the transform " + transform
                        + ", which gives other pixels each epoch: only what is the same each epoch can be cached");
            }
        });
        var cache = new DecodeCache(uri, storageOptions, source, images);
        try (LanceDataset dataset = cache.openOrCreate()) {
            cache.index(dataset);
        }
        return cache;
    }

    private LanceDataset openOrCreate() {
        try {
            return LanceDataset.open(uri, storageOptions);
        } catch (NotFoundException e) {
            // Made below.
        }
        try (LanceWriter writer = writer(LanceWriter.Mode.CREATE)) {
            writer.finish();
        } catch (RuntimeException e) {
            // Another rank may have made it meanwhile; if none has, opening it says what is wrong.
            try {
                return LanceDataset.open(uri, storageOptions);
            } catch (RuntimeException _) {
                throw e;
            }
        }
        return LanceDataset.open(uri, storageOptions);
    }

    private LanceWriter writer(LanceWriter.Mode mode) {
        long rowBytes = images.values().stream()
                .mapToLong(transform -> transform.uint8().imageBytes())
                .sum();
        return LanceWriter.to(uri, schema)
                .mode(mode)
                .storageOptions(storageOptions)
                .maxRowsPerFile(Math.max(1, MAX_FILE_BYTES / rowBytes))
                .open();
    }

    private void index(LanceDataset dataset) {
        String held = dataset.schema().metadata().get(CONTENT);
        if (!content.equals(held)) {
            throw new InvalidArgumentException("the cache " + uri + " holds "
                    + (held == null ? "something else than decoded images" : held) + ", but needed is " + content
                    + ": remove it, or name another place");
        }
        long[] found = new long[Math.toIntExact(positions.total())];
        long place = 0;
        try (Scan scan = dataset.scan().columns(POSITION).batchSize(1 << 16).open()) {
            while (true) {
                try (RecordBatch batch = scan.next()) {
                    if (batch == null) {
                        break;
                    }
                    Column column = batch.column(0);
                    for (long row = 0; row < batch.rows(); row++) {
                        long position = column.integer(row);
                        if (position < 0 || position >= found.length) {
                            throw new InvalidArgumentException("the cache " + uri + " has row " + position
                                    + " of a dataset of " + found.length + " rows: remove it");
                        }
                        found[(int) position] = ++place;
                    }
                }
            }
        }
        places = found;
        indexed = dataset.version();
    }

    /** Starts an epoch: what is in the cache now, and, where {@code mayAdd}, what will be added to it. */
    synchronized Epoch begin(Plan plan, boolean mayAdd) {
        LanceDataset latest = LanceDataset.open(uri, storageOptions);
        try {
            if (latest.version() != indexed) {
                index(latest);
            }
            boolean adds = mayAdd && !adding;
            var epoch = new Epoch(plan, latest, places, adds);
            adding |= adds;
            return epoch;
        } catch (RuntimeException | Error e) {
            latest.close();
            throw e;
        }
    }

    private synchronized void ended() {
        adding = false;
    }

    /** Opens scans of the source, whose batches are steps. */
    @FunctionalInterface
    interface SourceScan {
        Scan open(List<String> columns, Plan steps, int readAhead);
    }

    /** One epoch of a plan. */
    final class Epoch {
        private final Plan plan;
        private final boolean adds;
        private final boolean[] cached;
        private final LanceDataset version;
        private final long[] places;
        private final RowPositions versionPositions;
        private final BitSet kept = new BitSet();
        private LanceWriter writer;
        private boolean ended;

        /** Takes over {@code version}, whose rows lie at {@code places}. */
        private Epoch(Plan plan, LanceDataset version, long[] places, boolean adds) {
            this.plan = plan;
            this.version = version;
            this.places = places;
            this.adds = adds;
            versionPositions = new RowPositions(version.fragments());
            cached = new boolean[plan.steps()];
            for (int step = 0; step < cached.length; step++) {
                int at = step;
                cached[at] = true;
                plan.forEachRow(step, (_, key) -> cached[at] &= places[(int) positions.of(key)] != 0);
            }
        }

        /** A column that tells whether a step's rows come from the cache. */
        String column() {
            return images.keySet().iterator().next();
        }

        /** The rows of all steps, from the cache and from the source. */
        StepSource source(SourceScan scan, List<String> columns, boolean withRowId, int readAhead) {
            var decodedSteps = new Plan.Builder();
            var otherSteps = new Plan.Builder();
            var encodedSteps = new Plan.Builder();
            for (int step = 0; step < cached.length; step++) {
                if (cached[step]) {
                    plan.forEachRow(step, (_, key) -> addCached(key, decodedSteps));
                    decodedSteps.endStep(plan.validRows(step));
                    otherSteps.addStep(plan, step);
                } else {
                    encodedSteps.addStep(plan, step);
                }
            }
            Plan decoded = decodedSteps.build();
            Plan encoded = encodedSteps.build();
            List<String> otherColumns = columns.stream()
                    .filter(column -> !images.containsKey(column))
                    .toList();
            List<Scan> open = new ArrayList<>();
            try {
                Scan fromSource = encoded.steps() == 0 ? null : add(open, scan.open(columns, encoded, readAhead));
                Scan beside = decoded.steps() == 0 || otherColumns.isEmpty() && !withRowId
                        ? null
                        : add(open, scan.open(otherColumns, otherSteps.build(), readAhead));
                Scan fromCache = decoded.steps() == 0
                        ? null
                        : add(
                                open,
                                decoded.scan(version.scan())
                                        .columns(List.copyOf(images.keySet()))
                                        .readAhead(readAhead)
                                        .open());
                return new CachedSource(cached, fromSource, beside, fromCache);
            } catch (RuntimeException e) {
                open.forEach(Scan::close);
                throw e;
            }
        }

        private static Scan add(List<Scan> open, Scan scan) {
            open.add(scan);
            return scan;
        }

        /** Adds the place of a row in the cache. */
        private void addCached(long key, Plan.Builder steps) {
            long place = places[(int) positions.of(key)] - 1;
            versionPositions.add(place, place + 1, steps);
        }

        /**
         * Adds the rows of a step that are valid and new. {@code pixels}: the bytes of each of {@code names}, null where it is
         * no image. Any thread.
         */
        void keep(int step, boolean[] bad, String[] names, MemorySegment[] pixels) {
            if (!adds) {
                return;
            }
            synchronized (this) {
                int rows = plan.rows(step);
                long[] of = new long[rows];
                boolean[] isNew = new boolean[rows];
                int valid = plan.validRows(step);
                plan.forEachRow(step, (row, key) -> {
                    of[row] = positions.of(key);
                    isNew[row] = row < valid
                            && (bad == null || !bad[row])
                            && places[(int) of[row]] == 0
                            && !kept.get((int) of[row]);
                    if (isNew[row]) {
                        kept.set((int) of[row]);
                    }
                });
                for (int first = 0; first < rows; ) {
                    int end = first;
                    while (end < rows && isNew[end]) {
                        end++;
                    }
                    if (end > first) {
                        append(of, first, end, names, pixels);
                    }
                    first = Math.max(end, first + 1);
                }
            }
        }

        private void append(long[] of, int first, int end, String[] names, MemorySegment[] pixels) {
            if (writer == null) {
                writer = writer(LanceWriter.Mode.APPEND);
            }
            try (Arena arena = Arena.ofConfined()) {
                Object[] columns = new Object[1 + images.size()];
                columns[0] = arena.allocateFrom(ValueLayout.JAVA_LONG, Arrays.copyOfRange(of, first, end));
                int index = 1;
                for (Map.Entry<String, ImageTransform> image : images.entrySet()) {
                    long size = image.getValue().uint8().imageBytes();
                    MemorySegment all = pixels[Arrays.asList(names).indexOf(image.getKey())];
                    columns[index++] = all.asSlice(first * size, (end - first) * size);
                }
                writer.appendColumns(end - first, columns);
            }
        }

        /** Ends the epoch; what it added is kept where it was read to its end, {@code whole}. A second call does nothing. */
        synchronized void end(boolean whole) {
            if (ended) {
                return;
            }
            ended = true;
            try (version;
                    LanceWriter given = writer) {
                if (whole && given != null) {
                    given.finish();
                }
            } finally {
                // Not before the commit, which the next epoch that adds is to see.
                if (adds) {
                    ended();
                }
            }
        }
    }

    /** Reads each step from where it is. */
    private record CachedSource(boolean[] cached, Scan fromSource, Scan beside, Scan fromCache) implements StepSource {
        @Override
        public StepRecords read(int step) {
            if (!cached[step]) {
                return new StepRecords(fromSource.next());
            }
            RecordBatch others = beside == null ? null : beside.next();
            try {
                return new StepRecords(others, fromCache.next());
            } catch (RuntimeException e) {
                if (others != null) {
                    others.close();
                }
                throw e;
            }
        }

        private void each(java.util.function.Consumer<Scan> action) {
            for (Scan scan : new Scan[] {fromSource, beside, fromCache}) {
                if (scan != null) {
                    action.accept(scan);
                }
            }
        }

        @Override
        public void cancel() {
            each(Scan::cancel);
        }

        @Override
        public void close() {
            each(Scan::close);
        }
    }
}
