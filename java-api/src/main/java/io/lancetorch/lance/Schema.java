package io.lancetorch.lance;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.lancetorch.bindings.lance.ArrowSchema;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The columns of a dataset or of a scan, in order, with the dataset's own key-value pairs. */
public record Schema(List<Field> fields, Map<String, String> metadata) {
    private static final long ARROW_FLAG_NULLABLE = 2;

    public Schema {
        fields = List.copyOf(fields);
        metadata = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
    }

    public static Schema of(Field... fields) {
        return new Schema(List.of(fields), Map.of());
    }

    /** The same columns with other key-value pairs. */
    public Schema withMetadata(Map<String, String> metadata) {
        return new Schema(fields, metadata);
    }

    /** The names in order. */
    public List<String> names() {
        return fields.stream().map(Field::name).toList();
    }

    /**
     * The position of a column.
     *
     * @throws NotFoundException where there is none of that name
     */
    public int indexOf(String name) {
        for (int i = 0; i < fields.size(); i++) {
            if (fields.get(i).name().equals(name)) {
                return i;
            }
        }
        throw new NotFoundException("no column " + name + "; there are " + names());
    }

    /** Whether there is a column of that name. */
    public boolean contains(String name) {
        return fields.stream().anyMatch(field -> field.name().equals(name));
    }

    /** The column of that name. */
    public Field field(String name) {
        return fields.get(indexOf(name));
    }

    /** Reads an {@code ArrowSchema} of a struct, which stays its owner's. */
    static Schema read(MemorySegment schema) {
        Field root = readField(schema.reinterpret(ArrowSchema.sizeof()));
        return new Schema(root.children(), root.metadata());
    }

    /** Reads and releases an {@code ArrowSchema} that another library hands over. */
    static Schema consume(MemorySegment schema) {
        if (ArrowSchema.release(schema).address() == 0) {
            throw new InvalidArgumentException("the ArrowSchema was released or moved before");
        }
        try {
            String format = string(ArrowSchema.format(schema));
            if (!format.equals("+s")) {
                throw new InvalidArgumentException("an ArrowSchema of format " + format + ", not of a struct (+s)");
            }
            return read(schema);
        } finally {
            ArrowSchema.release.invoke(ArrowSchema.release(schema), schema);
        }
    }

    private static Field readField(MemorySegment schema) {
        long children = ArrowSchema.n_children(schema);
        List<Field> fields = new ArrayList<>();
        MemorySegment pointers = ArrowSchema.children(schema).reinterpret(children * ADDRESS.byteSize());
        for (long i = 0; i < children; i++) {
            fields.add(readField(pointers.getAtIndex(ADDRESS, i).reinterpret(ArrowSchema.sizeof())));
        }
        return new Field(
                string(ArrowSchema.name(schema)),
                string(ArrowSchema.format(schema)),
                (ArrowSchema.flags(schema) & ARROW_FLAG_NULLABLE) != 0,
                fields,
                readMetadata(ArrowSchema.metadata(schema)));
    }

    private static String string(MemorySegment text) {
        return text.address() == 0 ? "" : text.reinterpret(Long.MAX_VALUE).getString(0);
    }

    private static Map<String, String> readMetadata(MemorySegment metadata) {
        Map<String, String> pairs = new LinkedHashMap<>();
        if (metadata.address() != 0) {
            MemorySegment all = metadata.reinterpret(Long.MAX_VALUE);
            int count = all.get(JAVA_INT_UNALIGNED, 0);
            long at = 4;
            for (int i = 0; i < count; i++) {
                String[] pair = new String[2];
                for (int j = 0; j < 2; j++) {
                    int length = all.get(JAVA_INT_UNALIGNED, at);
                    pair[j] = new String(all.asSlice(at + 4, length).toArray(JAVA_BYTE), StandardCharsets.UTF_8);
                    at += 4 + length;
                }
                pairs.put(pair[0], pair[1]);
            }
        }
        return pairs;
    }

    /**
     * This schema as an {@code ArrowSchema} of a struct, for other libraries: in memory of {@code allocator}, and good for as
     * long as that. Its release function only marks it as released.
     */
    public MemorySegment toArrow(SegmentAllocator allocator) {
        return write(new Field("", "+s", false, fields, metadata), allocator);
    }

    private static MemorySegment write(Field field, SegmentAllocator allocator) {
        MemorySegment schema = ArrowSchema.allocate(allocator);
        schema.fill((byte) 0);
        ArrowSchema.release(schema, BorrowedArrow.SCHEMA_RELEASE);
        ArrowSchema.format(schema, allocator.allocateFrom(field.format()));
        ArrowSchema.name(schema, allocator.allocateFrom(field.name()));
        ArrowSchema.metadata(schema, writeMetadata(field.metadata(), allocator));
        ArrowSchema.flags(schema, field.nullable() ? ARROW_FLAG_NULLABLE : 0);
        int count = field.children().size();
        if (count > 0) {
            MemorySegment children = allocator.allocate(ADDRESS, count);
            for (int i = 0; i < count; i++) {
                children.setAtIndex(ADDRESS, i, write(field.children().get(i), allocator));
            }
            ArrowSchema.n_children(schema, count);
            ArrowSchema.children(schema, children);
        }
        return schema;
    }

    private static MemorySegment writeMetadata(Map<String, String> pairs, SegmentAllocator allocator) {
        if (pairs.isEmpty()) {
            return MemorySegment.NULL;
        }
        List<byte[]> texts = new ArrayList<>();
        long size = 4;
        for (Map.Entry<String, String> pair : pairs.entrySet()) {
            for (String text : List.of(pair.getKey(), pair.getValue())) {
                byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
                texts.add(bytes);
                size += 4 + bytes.length;
            }
        }
        MemorySegment segment = allocator.allocate(size, 8);
        segment.set(JAVA_INT_UNALIGNED, 0, pairs.size());
        long at = 4;
        for (byte[] text : texts) {
            segment.set(JAVA_INT_UNALIGNED, at, text.length);
            MemorySegment.copy(text, 0, segment, JAVA_BYTE, at + 4, text.length);
            at += 4 + text.length;
        }
        return segment;
    }
}
