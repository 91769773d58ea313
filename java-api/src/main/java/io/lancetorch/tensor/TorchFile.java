package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.torch.lt_value;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * One value in the {@code .pt} files that {@code torch.save} and {@code torch.load} write and read: null (None), a Boolean, a
 * whole number, a Double, a String, a {@link Tensor}, or of these, in up to 64 levels, a List or a Map whose keys are strings
 * or whole numbers.
 */
public final class TorchFile {
    /** As deep as values are written and read. */
    static final int DEEPEST = 64;

    private TorchFile() {}

    /**
     * Writes the value so that Python's {@code torch.load(path, weights_only=True)} gives the same, maps as dicts in their
     * order. The file appears when it is whole and on the disk; one that was there is replaced.
     *
     * @throws StorageException where the disk does not take it
     * @throws InvalidArgumentException for an object of another class, named with its place in the value
     * @throws UnsupportedException for an unsigned dtype beyond 8 bits, which the format has no place for
     */
    public static void save(Path path, Object value) {
        Native frame = Native.get();
        try (Arena arena = Arena.ofConfined()) {
            var description = new Description(arena);
            description.add(value, "the value", 0);
            frame.check(torch_h.lt_pickle_write(
                    arena.allocateFrom(path.toAbsolutePath().toString()),
                    description.values,
                    description.count,
                    frame.error));
        }
    }

    /**
     * Reads what {@link #save} or Python's {@code torch.save} wrote: whole numbers as Long, floats as Double, lists and tuples
     * as List, dicts as Map in the file's order. The tensors are on the CPU and belong to the current scope. The checksums that
     * the file has of its records are checked.
     *
     * <p>No code of the file is run: of pickle's constructors, only those that tensors need are known.
     *
     * @throws NotFoundException where there is no such file
     * @throws CorruptDataException where it is cut short or damaged, naming the record, or is no file of torch.save
     * @throws UnsupportedException for a dtype or an object that has no place in such a value
     */
    public static Object load(Path path) {
        return TorchFileReader.read(path);
    }

    /** The value as {@code lt_pickle_write} takes it: an array of lt_value in pre-order. */
    private static final class Description {
        private final Arena arena;
        private MemorySegment values;
        private long count;

        Description(Arena arena) {
            this.arena = arena;
            values = lt_value.allocateArray(64, arena);
        }

        void add(Object value, String where, int depth) {
            switch (value) {
                case null -> put(torch_h.LT_VALUE_NONE(), 0);
                case Boolean flag -> integer(torch_h.LT_VALUE_BOOL(), flag ? 1 : 0);
                case Long number -> integer(torch_h.LT_VALUE_INT(), number);
                case Integer number -> integer(torch_h.LT_VALUE_INT(), number);
                case Double number -> put(torch_h.LT_VALUE_DOUBLE(), 0).set(JAVA_DOUBLE, 0, number);
                case Float number -> put(torch_h.LT_VALUE_DOUBLE(), 0).set(JAVA_DOUBLE, 0, number);
                case String text -> text(text);
                case Tensor tensor -> integer(torch_h.LT_VALUE_TENSOR(), tensor.handle());
                case List<?> list -> {
                    requireLevel(where, depth);
                    put(torch_h.LT_VALUE_LIST(), list.size());
                    int index = 0;
                    for (Object element : list) {
                        add(element, where + "[" + index++ + "]", depth + 1);
                    }
                }
                case Map<?, ?> map -> {
                    requireLevel(where, depth);
                    put(torch_h.LT_VALUE_DICT(), map.size());
                    map.forEach((key, element) -> {
                        if (!(key instanceof String || key instanceof Long || key instanceof Integer)) {
                            throw new InvalidArgumentException(
                                    where + " has the key " + key + ", which is no string and no whole number");
                        }
                        add(key, where, depth + 1);
                        add(element, depth == 0 ? key.toString() : where + "." + key, depth + 1);
                    });
                }
                default ->
                    throw new InvalidArgumentException(where + " is a "
                            + value.getClass().getName() + ", which has no place in a .pt file: see TorchFile");
            }
        }

        private static void requireLevel(String where, int depth) {
            if (depth == DEEPEST) {
                throw new InvalidArgumentException(where + " is more than " + DEEPEST + " levels deep");
            }
        }

        private void integer(int tag, long value) {
            put(tag, 0).set(JAVA_LONG, 0, value);
        }

        private void text(String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            MemorySegment copy = arena.allocate(Math.max(1, bytes.length));
            MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
            put(torch_h.LT_VALUE_STRING(), bytes.length).set(ADDRESS, 0, copy);
        }

        /** Adds a value and returns the place of its payload. */
        private MemorySegment put(int tag, int length) {
            long at = count++ * lt_value.sizeof();
            if (at == values.byteSize()) {
                MemorySegment larger = arena.allocate(2 * at, 8);
                values = larger.copyFrom(values);
            }
            MemorySegment value = values.asSlice(at, lt_value.sizeof());
            value.set(JAVA_INT, 0, tag);
            value.set(JAVA_INT, 4, length);
            return value.asSlice(8);
        }
    }
}
