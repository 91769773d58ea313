package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.lance.lance_h;
import io.lancetorch.bindings.lance.lt_write_options;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/**
 * Writes rows to a dataset in one commit: all of them at {@link #finish}, or none. One thread at a time. Where many processes
 * write at once, each has a {@link FragmentWriter}, and one of them commits.
 *
 * <pre>{@code
 * Schema schema = Schema.of(Field.binary("image"), Field.int64("label"));
 * try (LanceWriter writer = LanceWriter.to("photos.lance", schema).maxRowsPerFile(12_500).open()) {
 *     writer.append(jpeg, 3L);
 *     writer.finish();
 * }
 * }</pre>
 */
public final class LanceWriter extends RowWriter {
    /** What a write does to a dataset that is there. */
    public enum Mode {
        /** Refuse. */
        CREATE,
        /** Add rows; refuse where none is there. */
        APPEND,
        /** Make a new version of these rows alone; older versions stay readable. */
        OVERWRITE
    }

    /** How to write. */
    public static final class Builder {
        private final String uri;
        private final Schema schema;
        private Mode mode = Mode.CREATE;
        private Map<String, String> storageOptions = Map.of();
        private long maxRowsPerFile;
        private String dataStorageVersion;

        private Builder(String uri, Schema schema) {
            this.uri = uri;
            this.schema = schema;
        }

        /** {@link Mode#CREATE} unless said. */
        public Builder mode(Mode mode) {
            this.mode = mode;
            return this;
        }

        /** Options for the object store, and when it is given up: see {@link LanceDataset#open(String, Map)}. */
        public Builder storageOptions(Map<String, String> options) {
            storageOptions = Map.copyOf(options);
            return this;
        }

        /** The rows of a fragment; Lance's default is 1,048,576. */
        public Builder maxRowsPerFile(long rows) {
            if (rows < 1) {
                throw new InvalidArgumentException("a fragment of at most " + rows + " rows");
            }
            maxRowsPerFile = rows;
            return this;
        }

        /** Lance's file format, such as {@code 2.1} or {@code legacy}. */
        public Builder dataStorageVersion(String version) {
            dataStorageVersion = version;
            return this;
        }

        String uri() {
            return uri;
        }

        Schema schema() {
            return schema;
        }

        MemorySegment options(Arena arena, MemorySegment progress) {
            MemorySegment options = lt_write_options.allocate(arena);
            options.fill((byte) 0);
            lt_write_options.mode(options, mode.ordinal());
            Map<String, String> requested = StorageDefaults.with(uri, storageOptions, true);
            lt_write_options.option_count(options, requested.size());
            lt_write_options.options(options, LanceDataset.optionArray(requested, arena));
            lt_write_options.max_rows_per_file(options, maxRowsPerFile);
            if (dataStorageVersion != null) {
                lt_write_options.data_storage_version(options, arena.allocateFrom(dataStorageVersion));
            }
            lt_write_options.progress(options, progress);
            return options;
        }

        /**
         * Starts to write.
         *
         * @throws InvalidArgumentException where {@link Mode#CREATE} meets a dataset, or the schema cannot be written
         * @throws NotFoundException where {@link Mode#APPEND} meets none
         */
        public LanceWriter open() {
            NativeLibraries.lance();
            return new LanceWriter(this);
        }

        /**
         * Starts to write fragments that many processes write apart, and one commits: see {@link FragmentWriter}.
         *
         * @throws InvalidArgumentException where {@link Mode#CREATE} meets a dataset, or the schema cannot be written
         * @throws NotFoundException where {@link Mode#APPEND} meets none
         */
        public FragmentWriter openFragments() {
            NativeLibraries.lance();
            return new FragmentWriter(this);
        }

        /**
         * Makes one new version of what {@link FragmentWriter}s of this schema have written, and returns its number. The rows
         * come in the order of {@code parts}, and of each in the order in which they were written. The dataset's metadata
         * becomes this schema's, unless rows are appended. On an exception nothing is committed, and the parts stay as they
         * are. Appends at the same time are all kept.
         *
         * @param parts what {@link FragmentWriter#finish} gave, each once
         * @throws InvalidArgumentException where {@link Mode#CREATE} meets a dataset; for a part of another schema, one that
         *     comes twice, and one that was committed before
         * @throws NotFoundException where {@link Mode#APPEND} meets no dataset; for a part whose files are not there
         * @throws CorruptDataException for a part that is damaged
         * @throws StorageException where the storage fails, or another process has committed what this cannot follow on: try
         *     once more
         */
        public long commit(List<String> parts) {
            NativeLibraries.lance();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
                MemorySegment version = arena.allocate(JAVA_LONG);
                Status.check(
                        lance_h.lt_dataset_commit(
                                arena.allocateFrom(uri),
                                schema.toArrow(arena),
                                options(arena, MemorySegment.NULL),
                                LanceDataset.names(parts, arena),
                                parts.size(),
                                version,
                                error),
                        error);
                return version.get(JAVA_LONG, 0);
            }
        }

        /**
         * Writes all of an {@code ArrowArrayStream} of the Arrow C stream interface, which this method releases, and returns
         * the new version. The schema given to {@link #to} is not looked at.
         */
        public long writeStream(MemorySegment stream) {
            NativeLibraries.lance();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
                MemorySegment version = arena.allocate(JAVA_LONG);
                Status.check(
                        lance_h.lt_dataset_write(
                                arena.allocateFrom(uri), stream, options(arena, MemorySegment.NULL), version, error),
                        error);
                return version.get(JAVA_LONG, 0);
            }
        }
    }

    /** Sets up a write of rows of {@code schema}, whose metadata becomes the dataset's. */
    public static Builder to(String uri, Schema schema) {
        return new Builder(uri, schema);
    }

    private LanceWriter(Builder builder) {
        super(builder, lance_h::lt_writer_open);
    }

    /** Writes what is left, commits, closes this writer, and returns the dataset's new version. */
    public synchronized long finish() {
        MemorySegment writer = takeFlushed();
        try (Arena temporary = Arena.ofConfined()) {
            MemorySegment version = temporary.allocate(JAVA_LONG);
            Status.check(lance_h.lt_writer_finish(writer, version, error), error, uri);
            return version.get(JAVA_LONG, 0);
        }
    }
}
