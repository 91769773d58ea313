package io.lancetorch.interop;

import io.lancetorch.bindings.lance.ArrowArray;
import io.lancetorch.data.Batch;
import io.lancetorch.data.ColumnTensors;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Scan;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.arrow.c.ArrowArrayStream;
import org.apache.arrow.c.ArrowSchema;
import org.apache.arrow.c.CDataDictionaryProvider;
import org.apache.arrow.c.Data;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * Rows and batches to and from Arrow Java ({@code org.apache.arrow:arrow-c-data}), over the same memory.
 *
 * <pre>{@code
 * try (BufferAllocator allocator = new RootAllocator();
 *         ArrowReader reader = ArrowInterop.reader(allocator, dataset.scan().filter("label < 3").open())) {
 *     while (reader.loadNextBatch()) {
 *         VectorSchemaRoot root = reader.getVectorSchemaRoot();
 *         ...
 *     }
 * }
 * }</pre>
 *
 * <p>What is handed over is shared and not moved: each side is closed by itself, in any order, and the memory lives until
 * the last vector, column and tensor over it is closed. So the allocator, which counts the bytes although they are not its
 * own, can be closed when both the roots and whatever was made of them are. Memory of a dataset is to be read only. Values
 * are never copied, but for bools between vectors, which pack them to bits, and tensors, which do not; Arrow Java also
 * makes bits of validity of its own, an eighth of a byte a value, where there are no nulls.
 *
 * <p>Arrow Java needs {@code --add-opens=java.base/java.nio=ALL-UNNAMED}, and from JDK 24 on, to be quiet,
 * {@code --sun-misc-unsafe-memory-access=allow} and {@code --enable-native-access=ALL-UNNAMED}; on the module path,
 * {@code --add-opens=java.base/java.nio=org.apache.arrow.memory.core,ALL-UNNAMED} and
 * {@code --enable-native-access=org.apache.arrow.c}. Beside {@code arrow-c-data} it needs an allocator, such as
 * {@code arrow-memory-unsafe}. Any thread may call; a root is used by one thread at a time. Where an allocator's limit is
 * reached, the methods throw Arrow's own {@code OutOfMemoryException}; its importer (19.0.0) then keeps some of a column
 * that it had begun with, so that such an allocator cannot be closed cleanly.
 */
public final class ArrowInterop {
    private ArrowInterop() {}

    // ---- from lancetorch to Arrow Java ----

    /**
     * The rows of {@code batch} as vectors over the same memory. The caller closes both.
     *
     * @throws IllegalStateException for a batch that is closed
     * @throws UnsupportedException for a column that Arrow Java cannot take as it lies: encoded with a dictionary, or with
     *     an offset, which no batch of a scan or a take has
     */
    public static VectorSchemaRoot toVectorSchemaRoot(BufferAllocator allocator, RecordBatch batch) {
        VectorSchemaRoot root = VectorSchemaRoot.create(schema(allocator, batch.schema()), allocator);
        try {
            load(allocator, batch, root);
            return root;
        } catch (RuntimeException e) {
            root.close();
            throw e;
        }
    }

    /**
     * The tensors of {@code batch} as vectors over the same memory, as {@link #toVectorSchemaRoot(BufferAllocator, Map)}
     * does it. The root outlives the batch, also one that the loader closes.
     */
    public static VectorSchemaRoot toVectorSchemaRoot(BufferAllocator allocator, Batch batch) {
        return toVectorSchemaRoot(allocator, batch.tensors());
    }

    /**
     * Tensors [rows, ...] as vectors by their names, over the same memory: one of shape [rows] becomes a vector of numbers,
     * [rows, n] one of lists of fixed size n, and so on, lists in lists. A tensor of 4 dimensions in channels-last order,
     * as a loader's images are, becomes lists in the order of its memory: height, width, channel. Bools are packed to bits,
     * which copies them. The caller closes the root, which keeps the memory alive, and the tensors.
     *
     * @throws InvalidArgumentException for a tensor on another device than the CPU, in another order of memory, without
     *     dimensions, or with other rows than the rest
     * @throws UnsupportedException for bfloat16, which Arrow does not have, and more than 2^31 - 1 values
     */
    public static VectorSchemaRoot toVectorSchemaRoot(BufferAllocator allocator, Map<String, Tensor> tensors) {
        List<FieldVector> vectors = new ArrayList<>();
        try {
            long rows = -1;
            for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
                FieldVector vector = TensorVectors.vector(allocator, entry.getKey(), entry.getValue());
                vectors.add(vector);
                if (rows >= 0 && vector.getValueCount() != rows) {
                    throw new InvalidArgumentException("tensor " + entry.getKey() + " has " + vector.getValueCount()
                            + " rows, and those before it have " + rows);
                }
                rows = vector.getValueCount();
            }
            List<Field> fields = vectors.stream().map(FieldVector::getField).toList();
            return new VectorSchemaRoot(new Schema(fields), vectors, (int) Math.max(0, rows));
        } catch (RuntimeException e) {
            vectors.forEach(FieldVector::close);
            throw e;
        }
    }

    /**
     * Reads {@code scan} batch by batch into one root, over Lance's memory. The reader takes the scan over: its close
     * closes it. A batch is good until the next one is loaded, or longer where its vectors are transferred away.
     * {@code loadNextBatch} throws what {@link Scan#next} does.
     */
    public static ArrowReader reader(BufferAllocator allocator, Scan scan) {
        return new ScanReader(allocator, scan);
    }

    private static final class ScanReader extends ArrowReader {
        private final Scan scan;
        private long bytes;

        ScanReader(BufferAllocator allocator, Scan scan) {
            super(allocator);
            this.scan = scan;
        }

        @Override
        protected Schema readSchema() {
            return schema(allocator, scan.schema());
        }

        @Override
        public boolean loadNextBatch() throws IOException {
            VectorSchemaRoot root = getVectorSchemaRoot();
            root.clear();
            try (RecordBatch batch = scan.next()) {
                if (batch == null) {
                    return false;
                }
                load(allocator, batch, root);
            }
            for (FieldVector vector : root.getFieldVectors()) {
                bytes += vector.getBufferSize();
            }
            return true;
        }

        @Override
        public long bytesRead() {
            return bytes;
        }

        @Override
        protected void closeReadSource() {
            scan.close();
        }
    }

    private static Schema schema(BufferAllocator allocator, io.lancetorch.lance.Schema schema) {
        try (Arena arena = Arena.ofConfined();
                var dictionaries = new CDataDictionaryProvider()) {
            return Data.importSchema(
                    allocator, ArrowSchema.wrap(schema.toArrow(arena).address()), dictionaries);
        }
    }

    private static void load(BufferAllocator allocator, RecordBatch batch, VectorSchemaRoot root) {
        for (int i = 0; i < batch.schema().fields().size(); i++) {
            requireArrowJava(batch.column(i), batch.column(i).field().name());
        }
        try (var array = org.apache.arrow.c.ArrowArray.allocateNew(allocator);
                var dictionaries = new CDataDictionaryProvider()) {
            batch.exportTo(MemorySegment.ofAddress(array.memoryAddress()));
            try {
                Data.importIntoVectorSchemaRoot(allocator, array, root, dictionaries, false);
            } finally {
                releaseUnlessMoved(array);
            }
        }
    }

    /** Its importer reads each array from the first element of the buffers on, whatever the array's offset says. */
    private static void requireArrowJava(Column column, String name) {
        if (column.offset() != 0) {
            throw new UnsupportedException("column " + name + " begins at element " + column.offset()
                    + " of its buffers, and Arrow Java reads them from the first one on");
        }
        if (ArrowArray.dictionary(column.array()).address() != 0) {
            throw new UnsupportedException("column " + name + " is encoded with a dictionary");
        }
        for (int i = 0; i < column.field().children().size(); i++) {
            requireArrowJava(column.child(i), name);
        }
    }

    private static void releaseUnlessMoved(org.apache.arrow.c.ArrowArray array) {
        if (array.snapshot().release != 0) {
            array.release();
        }
    }

    // ---- from Arrow Java to lancetorch ----

    /**
     * The rows of {@code root} as columns over the same memory. The caller closes both.
     *
     * @throws UnsupportedException for a vector that is encoded with a dictionary
     */
    public static RecordBatch toRecordBatch(BufferAllocator allocator, VectorSchemaRoot root) {
        root.getSchema().getFields().forEach(field -> requireNoDictionary(field, field.getName()));
        try (var array = org.apache.arrow.c.ArrowArray.allocateNew(allocator);
                ArrowSchema schema = ArrowSchema.allocateNew(allocator);
                var dictionaries = new CDataDictionaryProvider()) {
            try {
                Data.exportVectorSchemaRoot(allocator, root, dictionaries, array, schema);
                return RecordBatch.importFrom(
                        MemorySegment.ofAddress(array.memoryAddress()),
                        MemorySegment.ofAddress(schema.memoryAddress()));
            } finally {
                releaseUnlessMoved(array);
                if (schema.snapshot().release != 0) {
                    schema.release();
                }
            }
        }
    }

    private static void requireNoDictionary(Field field, String column) {
        if (field.getDictionary() != null) {
            throw new UnsupportedException(
                    "column " + column + " is encoded with a dictionary: decode it first (DictionaryEncoder.decode)");
        }
        field.getChildren().forEach(child -> requireNoDictionary(child, column));
    }

    /**
     * The vectors of {@code root} as tensors by their names, over the same memory, by the rules of
     * {@link ColumnTensors#alias}. They belong to the calling thread's innermost {@link TensorScope}, or to the caller, and
     * outlive the root.
     *
     * @throws UnsupportedException for a vector that has no tensor form, such as one of text
     * @throws CorruptDataException for a null, which a tensor cannot hold
     * @throws InvalidArgumentException for two vectors of one name
     */
    public static Map<String, Tensor> tensors(BufferAllocator allocator, VectorSchemaRoot root) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (RecordBatch batch = toRecordBatch(allocator, root)) {
            for (String name : batch.schema().names()) {
                if (tensors.containsKey(name)) {
                    throw new InvalidArgumentException("two vectors have the name " + name);
                }
                tensors.put(name, ColumnTensors.alias(batch.column(name)));
            }
            return tensors;
        } catch (RuntimeException e) {
            tensors.values().forEach(Tensor::close);
            throw e;
        }
    }

    /**
     * Writes all batches of {@code reader}, which this method closes, in one commit, and returns the dataset's new version.
     * The schema that {@code writer} was made for is not looked at. For batches that are made one by one there is
     * {@link LanceWriter#write} of a {@link #toRecordBatch}.
     *
     * @throws StorageException where the reader fails, with its words
     */
    public static long write(BufferAllocator allocator, ArrowReader reader, LanceWriter.Builder writer) {
        try (ArrowArrayStream stream = ArrowArrayStream.allocateNew(allocator)) {
            Data.exportArrayStream(allocator, reader, stream);
            try {
                return writer.writeStream(MemorySegment.ofAddress(stream.memoryAddress()));
            } finally {
                if (stream.snapshot().release != 0) {
                    stream.release();
                }
            }
        }
    }
}
