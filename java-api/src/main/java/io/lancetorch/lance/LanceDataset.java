package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Handle;
import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.bindings.lance.ArrowSchema;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_fragment;
import io.lancetorch.bindings.lance.lt_row_range;
import io.lancetorch.bindings.lance.lt_storage_option;
import io.lancetorch.bindings.lance.lt_version;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * One version of a Lance dataset, pinned: what others write later does not change what it shows. Any thread may use it, many
 * at once. The caller closes it; scans that are open go on.
 */
public final class LanceDataset implements AutoCloseable {
    private final String uri;
    private final Map<String, String> storageOptions;
    private final Handle handle;
    private final Schema schema;
    private final List<Fragment> fragments;
    private final long version;
    private volatile TakenColumns lastTaken;

    private LanceDataset(String uri, Map<String, String> storageOptions, long address) {
        this.uri = uri;
        this.storageOptions = Map.copyOf(storageOptions);
        handle = new Handle("the dataset " + uri, address, lance_h::lt_dataset_close);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            schema = readSchema(arena, error);
            fragments = readFragments(arena, error);
            MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(handle.call(dataset -> lance_h.lt_dataset_version(dataset, out, error)), error);
            version = out.get(JAVA_LONG, 0);
        } catch (RuntimeException e) {
            handle.close();
            throw e;
        }
    }

    /**
     * Opens the latest version of the dataset at a path or a URI.
     *
     * @throws NotFoundException where there is none
     */
    public static LanceDataset open(String uri) {
        return open(uri, Map.of());
    }

    /**
     * As {@link #open(String)}, with options for the object store, by Lance's own names: for {@code s3://BUCKET/PATH} such as
     * {@code region}, {@code access_key_id}, {@code secret_access_key}, {@code session_token}, and, for a store other than
     * Amazon's, {@code endpoint} (with {@code allow_http} = {@code true} where it begins with {@code http:}). What is not said
     * is taken from the variables {@code AWS_REGION}, {@code AWS_ACCESS_KEY_ID} and so on, where they are set; credentials
     * else from where Amazon's tools look for them.
     *
     * <p>A request that fails is made again, with growing pauses. An outage of some 10 s is survived; after a longer one the
     * call that needs the store is a {@link StorageException}: in less than half a minute where the store refuses
     * connections, and in about a minute where nothing answers; where a {@link LanceWriter} writes, in a minute and in three.
     * Where neither an option nor a variable says otherwise, lancetorch says:
     *
     * <table>
     * <caption>Defaults for object stores</caption>
     * <tr><td>{@code connect_timeout} = {@code 5s}</td><td>to wait for a connection</td></tr>
     * <tr><td>{@code read_timeout} = {@code 10s}</td><td>to wait for more of an answer; {@code 30s} to write, as an upload is
     *     silent until it is whole</td></tr>
     * <tr><td>{@code timeout} = {@code 120s}</td><td>for a request with all of its bytes, however steadily they come</td></tr>
     * <tr><td>{@code client_retry_timeout} = {@code 3}</td><td>seconds, from the first time on, within which a request is made
     *     again; {@code 10} to write. To read, Lance begins anew 3 to 5 times after that, and as often where a download stops
     *     ({@code download_retry_count} = {@code 3})</td></tr>
     * <tr><td>{@code client_max_retries} = {@code 50}</td><td>times at most that it is made again within those seconds</td></tr>
     * <tr><td>{@code lance_aimd_max_retries} = {@code 0}</td><td>no limit on the rate of requests; another number has Lance
     *     make each failed request so many times more, and lower the rate to 1 a second while the store fails</td></tr>
     * </table>
     *
     * @throws NotFoundException where there is no such bucket, or no dataset in it
     * @throws StorageException where the store cannot be reached, or refuses the credentials
     */
    public static LanceDataset open(String uri, Map<String, String> storageOptions) {
        return open(uri, storageOptions, 0, null);
    }

    /** Opens one version. */
    public static LanceDataset openVersion(String uri, Map<String, String> storageOptions, long version) {
        if (version < 1) {
            throw new InvalidArgumentException("version " + version + " of " + uri + ": versions count from 1");
        }
        return open(uri, storageOptions, version, null);
    }

    /** Opens the version that a tag names. */
    public static LanceDataset openTag(String uri, Map<String, String> storageOptions, String tag) {
        return open(uri, storageOptions, 0, tag);
    }

    private static LanceDataset open(String uri, Map<String, String> options, long version, String tag) {
        NativeLibraries.lance();
        Map<String, String> requested = StorageDefaults.with(uri, options, false);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = arena.allocate(ADDRESS);
            Status.check(
                    lance_h.lt_dataset_open(
                            arena.allocateFrom(uri),
                            optionArray(requested, arena),
                            requested.size(),
                            version,
                            tag == null ? MemorySegment.NULL : arena.allocateFrom(tag),
                            out,
                            error),
                    error);
            return new LanceDataset(uri, options, out.get(JAVA_LONG, 0));
        }
    }

    /** As an array of {@code lt_storage_option}; NULL for none. */
    static MemorySegment optionArray(Map<String, String> options, SegmentAllocator allocator) {
        if (options.isEmpty()) {
            return MemorySegment.NULL;
        }
        MemorySegment array = lt_storage_option.allocateArray(options.size(), allocator);
        long index = 0;
        for (Map.Entry<String, String> option : options.entrySet()) {
            MemorySegment entry = lt_storage_option.asSlice(array, index++);
            lt_storage_option.key(entry, allocator.allocateFrom(option.getKey()));
            lt_storage_option.value(entry, allocator.allocateFrom(option.getValue()));
        }
        return array;
    }

    static MemorySegment names(List<String> names, SegmentAllocator allocator) {
        MemorySegment array = allocator.allocate(ADDRESS, Math.max(1, names.size()));
        for (int i = 0; i < names.size(); i++) {
            array.setAtIndex(ADDRESS, i, allocator.allocateFrom(names.get(i)));
        }
        return array;
    }

    private Schema readSchema(Arena arena, MemorySegment error) {
        MemorySegment out = ArrowSchema.allocate(arena);
        Status.check(handle.call(dataset -> lance_h.lt_dataset_schema(dataset, out, error)), error);
        return consumeSchema(out);
    }

    static Schema consumeSchema(MemorySegment schema) {
        try {
            return Schema.read(schema);
        } finally {
            ArrowSchema.release.invoke(ArrowSchema.release(schema), schema);
        }
    }

    private List<Fragment> readFragments(Arena arena, MemorySegment error) {
        MemorySegment count = arena.allocate(JAVA_LONG);
        Status.check(
                handle.call(dataset -> lance_h.lt_dataset_fragments(dataset, MemorySegment.NULL, 0, count, error)),
                error);
        long capacity = count.get(JAVA_LONG, 0);
        MemorySegment array = lt_fragment.allocateArray(Math.max(1, capacity), arena);
        Status.check(
                handle.call(dataset -> lance_h.lt_dataset_fragments(dataset, array, capacity, count, error)), error);
        Fragment[] result = new Fragment[(int) capacity];
        for (int i = 0; i < result.length; i++) {
            MemorySegment fragment = lt_fragment.asSlice(array, i);
            result[i] = new Fragment(
                    lt_fragment.id(fragment), lt_fragment.rows(fragment), lt_fragment.deleted_rows(fragment));
        }
        return List.of(result);
    }

    public String uri() {
        return uri;
    }

    /** The options that it was opened with, secrets among them; what is beside the dataset is opened with the same ones. */
    public Map<String, String> storageOptions() {
        return storageOptions;
    }

    /** The version that it shows. */
    public long version() {
        return version;
    }

    public Schema schema() {
        return schema;
    }

    /** The fragments in order. */
    public List<Fragment> fragments() {
        return fragments;
    }

    /**
     * The newest versions that are there, at most {@code limit} of them, in the order of their numbers. Two small files are
     * read for each.
     */
    public List<DatasetVersion> versions(int limit) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = arena.allocate(ADDRESS);
            MemorySegment count = arena.allocate(JAVA_LONG);
            Status.check(
                    handle.call(dataset ->
                            lance_h.lt_dataset_versions(dataset, limit, out, count, MemorySegment.NULL, error)),
                    error,
                    uri);
            long length = count.get(JAVA_LONG, 0);
            MemorySegment versions = out.get(ADDRESS, 0).reinterpret(length * lt_version.sizeof());
            try {
                return LongStream.range(0, length)
                        .mapToObj(i -> version(lt_version.asSlice(versions, i)))
                        .toList();
            } finally {
                lance_h.lt_versions_free(versions, length);
            }
        }
    }

    private static DatasetVersion version(MemorySegment version) {
        return new DatasetVersion(
                lt_version.version(version),
                Instant.ofEpochMilli(lt_version.time_ms(version)),
                lt_version.rows(version),
                lt_version.fragments(version),
                lt_version.files(version),
                lt_version.bytes(version),
                lt_version.operation(version).getString(0));
    }

    /** The rows that are not deleted. */
    public long countRows() {
        long rows = 0;
        for (Fragment fragment : fragments) {
            rows += fragment.rows();
        }
        return rows;
    }

    /**
     * The rows that {@code filter}, an SQL expression such as {@code label < 3}, accepts.
     *
     * @throws InvalidArgumentException where it does not parse, or names a column that is not there
     */
    public long countRows(String filter) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment out = arena.allocate(JAVA_LONG);
            MemorySegment text = arena.allocateFrom(filter);
            Status.check(handle.call(dataset -> lance_h.lt_dataset_count_rows(dataset, text, out, error)), error);
            return out.get(JAVA_LONG, 0);
        }
    }

    /**
     * The rows that {@code filter}, an SQL expression such as {@code label < 3}, accepts. Only the columns that it names are
     * read.
     *
     * @throws InvalidArgumentException where it does not parse, or names a column that is not there
     */
    public RowSelection select(String filter) {
        return select(filter, MemorySegment.NULL, 0);
    }

    /**
     * The rows of some fragments that {@code filter} accepts.
     *
     * @throws NotFoundException for a fragment that this version has not
     */
    public RowSelection select(String filter, List<Fragment> fragments) {
        if (fragments.isEmpty()) {
            return RowSelection.of(List.of());
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ids = arena.allocateFrom(
                    JAVA_LONG, fragments.stream().mapToLong(Fragment::id).toArray());
            return select(filter, ids, fragments.size());
        }
    }

    private RowSelection select(String filter, MemorySegment fragmentIds, long fragmentCount) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment text = arena.allocateFrom(filter);
            MemorySegment out = arena.allocate(ADDRESS);
            MemorySegment count = arena.allocate(JAVA_LONG);
            Status.check(
                    handle.call(dataset ->
                            lance_h.lt_dataset_select(dataset, text, fragmentIds, fragmentCount, out, count, error)),
                    error);
            MemorySegment ranges = out.get(ADDRESS, 0);
            long length = count.get(JAVA_LONG, 0);
            try {
                return RowSelection.of(ranges.reinterpret(length * lt_row_range.sizeof()), length);
            } finally {
                lance_h.lt_row_ranges_free(ranges, length);
            }
        }
    }

    /** Sets up a scan of this version. */
    public Scan.Builder scan() {
        return new Scan.Builder(this);
    }

    /**
     * Reads rows by their positions in the dataset, in that order; the same position may come again. The caller closes the
     * batch.
     *
     * @throws InvalidArgumentException for a position beyond the dataset
     * @throws NotFoundException for a column that is not there
     */
    public RecordBatch take(long[] rows, String... columns) {
        return take(rows, List.of(columns), false);
    }

    /** As {@link #take(long[], String...)}; {@code withRowId} adds a column {@code _rowid}. No columns: all of them. */
    public RecordBatch take(long[] rows, List<String> columns, boolean withRowId) {
        TakenColumns taken = lastTaken;
        boolean known = taken != null && taken.withRowId == withRowId && taken.columns.equals(columns);
        MemorySegment names = known ? taken.names : TakenColumns.names(columns);
        try (Arena arena = Arena.ofConfined()) {
            // One allocation for all that a call needs.
            MemorySegment error = arena.allocate(
                    Status.ERROR_SIZE + ArrowArray.sizeof() + ArrowSchema.sizeof() + 8L * rows.length, 8);
            MemorySegment batch = error.asSlice(Status.ERROR_SIZE, ArrowArray.sizeof());
            MemorySegment schemaOut = error.asSlice(Status.ERROR_SIZE + ArrowArray.sizeof(), ArrowSchema.sizeof());
            MemorySegment positions =
                    error.asSlice(Status.ERROR_SIZE + ArrowArray.sizeof() + ArrowSchema.sizeof(), 8L * rows.length);
            MemorySegment.copy(rows, 0, positions, JAVA_LONG, 0, rows.length);
            Status.check(
                    handle.call(dataset -> lance_h.lt_dataset_take(
                            dataset,
                            positions,
                            rows.length,
                            names,
                            columns.size(),
                            withRowId ? 1 : 0,
                            batch,
                            known ? MemorySegment.NULL : schemaOut,
                            error)),
                    error);
            if (!known) {
                taken = new TakenColumns(List.copyOf(columns), withRowId, names, consumeSchema(schemaOut));
                lastTaken = taken;
            }
            return RecordBatch.consume(taken.schema, batch, error);
        }
    }

    /** What a take of the same columns need not find out anew. */
    private record TakenColumns(List<String> columns, boolean withRowId, MemorySegment names, Schema schema) {
        static MemorySegment names(List<String> columns) {
            return columns.isEmpty() ? MemorySegment.NULL : LanceDataset.names(columns, Arena.ofAuto());
        }
    }

    /**
     * Opens the blobs of some rows, by their positions in the dataset, in that order; the same position may come again. Null
     * for a null. The caller closes each.
     *
     * @throws InvalidArgumentException for a position beyond the dataset, or a column that holds no blobs ({@link Field#blob})
     * @throws NotFoundException for a column that is not there
     */
    public List<Blob> blobs(String column, long... rows) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
            MemorySegment name = arena.allocateFrom(column);
            MemorySegment positions = arena.allocateFrom(JAVA_LONG, rows);
            MemorySegment out = arena.allocate(ADDRESS, Math.max(1, rows.length));
            Status.check(
                    handle.call(dataset -> lance_h.lt_dataset_blobs(dataset, name, positions, rows.length, out, error)),
                    error);
            Blob[] blobs = new Blob[rows.length];
            for (int i = 0; i < blobs.length; i++) {
                long address = out.getAtIndex(JAVA_LONG, i);
                if (address != 0) {
                    blobs[i] = new Blob("the blob in row " + rows[i] + " of column " + column + " of " + uri, address);
                }
            }
            return Collections.unmodifiableList(Arrays.asList(blobs));
        }
    }

    Handle handle() {
        return handle;
    }

    /** Frees it, after calls that are under way; a second close does nothing. */
    @Override
    public void close() {
        handle.close();
    }

    @Override
    public String toString() {
        return "LanceDataset[" + uri + " version " + version + ", " + fragments.size() + " fragments, " + countRows()
                + " rows]";
    }
}
