package io.lancetorch.lance;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import java.util.List;
import java.util.Map;

/**
 * A column's name and type. {@code format} is the type's letter code in the
 * <a href="https://arrow.apache.org/docs/format/CDataInterface.html#data-type-description-format-strings">Arrow C data
 * interface</a>: {@code l} is int64, {@code f} float32, {@code z} binary, {@code +w:768} a list of fixed size 768.
 */
public record Field(String name, String format, boolean nullable, List<Field> children, Map<String, String> metadata) {

    private static final String BLOB_KEY = "lance-encoding:blob";

    public Field {
        children = List.copyOf(children);
        metadata = Map.copyOf(metadata);
    }

    private static Field leaf(String name, String format) {
        return new Field(name, format, true, List.of(), Map.of());
    }

    public static Field bool(String name) {
        return leaf(name, "b");
    }

    public static Field uint8(String name) {
        return leaf(name, "C");
    }

    public static Field int32(String name) {
        return leaf(name, "i");
    }

    public static Field int64(String name) {
        return leaf(name, "l");
    }

    /** Values are given and kept as their 16 bits. */
    public static Field float16(String name) {
        return leaf(name, "e");
    }

    public static Field float32(String name) {
        return leaf(name, "f");
    }

    public static Field float64(String name) {
        return leaf(name, "g");
    }

    /** Bytes of any length, up to 2 GiB a batch. */
    public static Field binary(String name) {
        return leaf(name, "z");
    }

    /** Text, up to 2 GiB of UTF-8 a batch. */
    public static Field utf8(String name) {
        return leaf(name, "u");
    }

    /** {@code size} values of {@code item}'s type in each row. */
    public static Field fixedSizeList(String name, Field item, int size) {
        if (size < 1) {
            throw new InvalidArgumentException("a list of fixed size " + size + " in column " + name);
        }
        return new Field(name, "+w:" + size, true, List.of(item), Map.of());
    }

    /** Any number of values of {@code item}'s type in each row, such as the ids of tokens. */
    public static Field list(String name, Field item) {
        return new Field(name, "+l", true, List.of(item), Map.of());
    }

    /**
     * Large bytes, such as videos, that stay where they are when rows are read: {@link LanceDataset#blobs} opens them. A scan
     * gives a struct in their place, which says where they lie.
     */
    public static Field blob(String name) {
        return new Field(name, "Z", true, List.of(), Map.of(BLOB_KEY, "true"));
    }

    /**
     * A tensor of {@code shape} in each row, its values of {@code item}'s type in row-major order: Arrow's extension type
     * {@code arrow.fixed_shape_tensor} over a list of fixed size.
     */
    public static Field fixedShapeTensor(String name, Field item, long... shape) {
        return FixedShapeTensor.field(name, item, shape);
    }

    /** Whether it is one that {@link LanceDataset#blobs} opens. */
    public boolean isBlob() {
        // From file format 2.2 on, Lance has an extension type for them.
        return metadata.containsKey(BLOB_KEY) || "lance.blob.v2".equals(metadata.get(FixedShapeTensor.NAME_KEY));
    }

    /**
     * The shape of each row of a column of Arrow's type {@code arrow.fixed_shape_tensor}, in the order of its dimensions as
     * that type's {@code permutation} has them; null for another type.
     *
     * @throws CorruptDataException where the column's metadata says something that cannot be
     */
    public long[] tensorShape() {
        FixedShapeTensor tensor = FixedShapeTensor.of(this);
        return tensor == null ? null : tensor.shape().clone();
    }

    /** How many values lie from one place to the next in each dimension of {@link #tensorShape}; null where that is null. */
    public long[] tensorStrides() {
        FixedShapeTensor tensor = FixedShapeTensor.of(this);
        return tensor == null ? null : tensor.strides().clone();
    }

    /** The size of a list of fixed size, or -1 for another type. */
    public int listSize() {
        return format.startsWith("+w:") ? Integer.parseInt(format.substring(3)) : -1;
    }

    /** The type in words, such as {@code fixed_size_list<float32>[768]}. */
    public String typeName() {
        if (listSize() >= 0) {
            return "fixed_size_list<" + children.getFirst().typeName() + ">[" + listSize() + "]";
        }
        return switch (format) {
            case "n" -> "null";
            case "b" -> "bool";
            case "c" -> "int8";
            case "C" -> "uint8";
            case "s" -> "int16";
            case "S" -> "uint16";
            case "i" -> "int32";
            case "I" -> "uint32";
            case "l" -> "int64";
            case "L" -> "uint64";
            case "e" -> "float16";
            case "f" -> "float32";
            case "g" -> "float64";
            case "z" -> "binary";
            case "Z" -> "large_binary";
            case "u" -> "utf8";
            case "U" -> "large_utf8";
            case "+l" -> "list<" + children.getFirst().typeName() + ">";
            case "+L" -> "large_list<" + children.getFirst().typeName() + ">";
            case "+s" -> "struct";
            default -> "Arrow format " + format;
        };
    }
}
