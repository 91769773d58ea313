package io.lancetorch.lance;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import java.io.IOException;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The shape of each row of a column of Arrow's canonical extension type
 * <a href="https://arrow.apache.org/docs/format/CanonicalExtensions.html#fixed-shape-tensor">{@code
 * arrow.fixed_shape_tensor}</a>: {@code shape} as its reader sees it, and {@code strides}, in values, where that lies.
 */
record FixedShapeTensor(long[] shape, long[] strides) {
    static final String NAME_KEY = "ARROW:extension:name";
    static final String METADATA_KEY = "ARROW:extension:metadata";
    static final String NAME = "arrow.fixed_shape_tensor";

    private static final JsonFactory JSON = new JsonFactory();
    /** By their JSON, as every batch asks again; a process meets a few. */
    private static final Map<String, FixedShapeTensor> KNOWN = new ConcurrentHashMap<>();

    /** Of a field, or null where it is of another type. */
    static FixedShapeTensor of(Field field) {
        if (!NAME.equals(field.metadata().get(NAME_KEY))) {
            return null;
        }
        String json = field.metadata().getOrDefault(METADATA_KEY, "");
        FixedShapeTensor tensor = KNOWN.get(json);
        if (tensor == null) {
            try {
                tensor = parse(json);
            } catch (IOException | ArithmeticException e) {
                throw new CorruptDataException("column " + field.name() + " is a tensor of fixed shape, whose metadata "
                        + json + " cannot be read: " + e.getMessage());
            }
            KNOWN.put(json, tensor);
        }
        if (tensor.values() != field.listSize()) {
            throw new CorruptDataException("column " + field.name() + " is " + field.typeName()
                    + ", but its tensors are said to have the shape " + Arrays.toString(tensor.shape));
        }
        return tensor;
    }

    private long values() {
        return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    private static FixedShapeTensor parse(String json) throws IOException {
        long[] physical = null;
        long[] permutation = null;
        try (JsonParser parser = JSON.createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("it is no object");
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String key = parser.currentName();
                parser.nextToken();
                switch (key) {
                    case "shape" -> physical = numbers(parser);
                    case "permutation" -> permutation = numbers(parser);
                    default -> parser.skipChildren();
                }
            }
        }
        if (physical == null) {
            throw new IOException("it has no shape");
        }
        int dimensions = physical.length;
        long[] rowMajor = new long[dimensions];
        long step = 1;
        for (int i = dimensions - 1; i >= 0; i--) {
            rowMajor[i] = step;
            step = Math.multiplyExact(step, physical[i]);
        }
        if (permutation == null) {
            return new FixedShapeTensor(physical, rowMajor);
        }
        long[] ordered = permutation.clone();
        Arrays.sort(ordered);
        for (int i = 0; i < dimensions; i++) {
            if (ordered.length != dimensions || ordered[i] != i) {
                throw new IOException(
                        Arrays.toString(permutation) + " is no permutation of its " + dimensions + " dimensions");
            }
        }
        long[] shape = new long[dimensions];
        long[] strides = new long[dimensions];
        for (int i = 0; i < dimensions; i++) {
            shape[i] = physical[(int) permutation[i]];
            strides[i] = rowMajor[(int) permutation[i]];
        }
        return new FixedShapeTensor(shape, strides);
    }

    private static long[] numbers(JsonParser parser) throws IOException {
        if (parser.currentToken() == JsonToken.VALUE_NULL) {
            return null;
        }
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw new IOException(parser.currentName() + " is no list");
        }
        long[] numbers = new long[4];
        int count = 0;
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || parser.getLongValue() < 0) {
                throw new IOException(parser.getText() + " is no size");
            }
            if (count == numbers.length) {
                numbers = Arrays.copyOf(numbers, 2 * count);
            }
            numbers[count++] = parser.getLongValue();
        }
        return Arrays.copyOf(numbers, count);
    }

    /** The field of tensors of {@code shape}, in row-major order. */
    static Field field(String name, Field item, long... shape) {
        long values = 1;
        for (long size : shape) {
            if (size < 1) {
                throw new InvalidArgumentException(
                        "a tensor of shape " + Arrays.toString(shape) + " in column " + name);
            }
            values = Math.multiplyHigh(values, size) == 0 ? values * size : Long.MAX_VALUE;
        }
        if (values < 1 || values > Integer.MAX_VALUE) {
            throw new InvalidArgumentException("a tensor of shape " + Arrays.toString(shape) + " in column " + name
                    + ": a row has at most " + Integer.MAX_VALUE + " values");
        }
        String json = "{\"shape\":" + Arrays.toString(shape).replace(" ", "") + "}";
        Field list = Field.fixedSizeList(name, item, (int) values);
        return new Field(
                name, list.format(), list.nullable(), list.children(), Map.of(NAME_KEY, NAME, METADATA_KEY, json));
    }
}
