package io.lancetorch.tensor;

import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import net.razorvine.pickle.IObjectConstructor;
import net.razorvine.pickle.Opcodes;
import net.razorvine.pickle.PickleUtils;
import net.razorvine.pickle.Unpickler;

/**
 * Reads the zip file of a pickle and its tensors' bytes that {@code torch.save} writes. The pickle may name nothing but the
 * constructors of {@link #GLOBALS}, so a file can do no more than make tensors.
 */
final class TorchFileReader {
    private static final int MAX_PICKLE_BYTES = 256 << 20;
    private static final int MAX_RECORDS = 1 << 20;

    private static final Op AS_STRIDED = Op.lazy("aten::as_strided", "");

    private static final Map<String, Object> GLOBALS = globals();

    private final Path path;
    private final ZipFile zip;
    private final String root;
    private final Map<String, Tensor> storages = new HashMap<>();
    private final Set<Tensor> given = new LinkedHashSet<>();
    private final Map<Object, Object> containers = new IdentityHashMap<>();
    /** Bytes that the records which are still to be read can have. */
    private long bytesLeft;

    private TorchFileReader(Path path, ZipFile zip) throws IOException {
        this.path = path;
        this.zip = zip;
        bytesLeft = Files.size(path);
        if (zip.size() > MAX_RECORDS) {
            throw new CorruptDataException(
                    path + " has " + zip.size() + " records; at most " + MAX_RECORDS + " are read");
        }
        String pickle = zip.stream()
                .map(ZipEntry::getName)
                .filter(name -> name.endsWith("/data.pkl"))
                .findFirst()
                .orElseThrow(() -> new CorruptDataException(path + " has no data.pkl: it is no file of torch.save"));
        root = pickle.substring(0, pickle.length() - "data.pkl".length());
    }

    private static Map<String, Object> globals() {
        Map<String, Object> globals = new HashMap<>();
        globals.put("collections OrderedDict", (IObjectConstructor) TorchFileReader::orderedDict);
        globals.put("torch FloatStorage", DType.FLOAT32);
        globals.put("torch DoubleStorage", DType.FLOAT64);
        globals.put("torch HalfStorage", DType.FLOAT16);
        globals.put("torch BFloat16Storage", DType.BFLOAT16);
        globals.put("torch LongStorage", DType.INT64);
        globals.put("torch IntStorage", DType.INT32);
        globals.put("torch ShortStorage", DType.INT16);
        globals.put("torch CharStorage", DType.INT8);
        globals.put("torch ByteStorage", DType.UINT8);
        globals.put("torch BoolStorage", DType.BOOL);
        globals.put("torch._utils _rebuild_tensor_v2", (IObjectConstructor) TorchFileReader::rebuildTensor);
        globals.put("torch._utils _rebuild_parameter", (IObjectConstructor) arguments -> arguments[0]);
        return globals;
    }

    /** The value of a file, with its tensors in the current scope. */
    static Object read(Path path) {
        return read(path, reader -> reader.plain(reader.root(), "the value", 0));
    }

    /** A dict that holds nothing but tensors. */
    static Map<String, Tensor> readTensors(Path path) {
        return read(path, reader -> reader.tensors(reader.root()));
    }

    @FunctionalInterface
    private interface Body<T> {
        T of(TorchFileReader reader) throws IOException;
    }

    private static <T> T read(Path path, Body<T> body) {
        if (!Files.isRegularFile(path)) {
            throw new NotFoundException("no file " + path);
        }
        try (var scope = new TensorScope();
                ZipFile zip = new ZipFile(path.toFile())) {
            var reader = new TorchFileReader(path, zip);
            T result = body.of(reader);
            reader.given.forEach(scope::moveToOuter);
            return result;
        } catch (InvalidArgumentException e) {
            throw new CorruptDataException(path + " describes a tensor that cannot be: " + e.getMessage());
        } catch (LanceTorchException e) {
            throw e;
        } catch (ZipException e) {
            throw new CorruptDataException(path + " is no whole zip file, as torch.save writes it: " + e.getMessage());
        } catch (NoSuchFileException e) {
            throw new NotFoundException("no file " + path);
        } catch (IOException e) {
            throw new StorageException("cannot read " + path + ": " + e.getMessage(), e);
        } catch (RuntimeException | OutOfMemoryError | StackOverflowError e) {
            // The unpickler meets damaged bytes with whatever exception its own code runs into.
            throw new CorruptDataException(path + " has a data.pkl that is no value of torch.save: " + e);
        }
    }

    private Object root() throws IOException {
        ZipEntry order = zip.getEntry(root + "byteorder");
        if (order != null) {
            String text = new String(bytes(order, 16), StandardCharsets.US_ASCII);
            if (!text.equals("little")) {
                throw new UnsupportedException(path + " was written in byte order " + text);
            }
        }
        ZipEntry pickle = zip.getEntry(root + "data.pkl");
        return new AllowListUnpickler(this).load(new ByteArrayInputStream(bytes(pickle, MAX_PICKLE_BYTES)));
    }

    private byte[] bytes(ZipEntry entry, int most) throws IOException {
        if (entry.getSize() > most) {
            throw new CorruptDataException(path + ": record " + name(entry) + " has " + entry.getSize() + " bytes");
        }
        takeFromFile(entry);
        byte[] bytes;
        try (InputStream stream = zip.getInputStream(entry)) {
            bytes = stream.readNBytes(most);
        }
        var checksum = new CRC32();
        checksum.update(bytes);
        requireChecksum(entry, checksum);
        return bytes;
    }

    /** Lets no small file become a huge value: records are not compressed, and do not overlap, as torch.save writes them. */
    private void takeFromFile(ZipEntry entry) {
        if (entry.getMethod() != ZipEntry.STORED) {
            throw new UnsupportedException(
                    path + ": record " + name(entry)
                            + " is compressed, which torch.save does not do: unpack the file and zip it with the method STORED");
        }
        bytesLeft -= entry.getSize();
        if (entry.getSize() < 0 || bytesLeft < 0) {
            throw new CorruptDataException(path + ": record " + name(entry) + " has " + entry.getSize()
                    + " bytes, more than are left of the file");
        }
    }

    private String name(ZipEntry entry) {
        return entry.getName().substring(root.length());
    }

    private void requireChecksum(ZipEntry entry, CRC32 checksum) {
        // Python writes 0 after torch.serialization.set_crc32_options(False).
        if (entry.getCrc() > 0 && entry.getCrc() != checksum.getValue()) {
            throw new CorruptDataException(path + ": record " + name(entry) + " is damaged: its checksum is "
                    + Long.toHexString(checksum.getValue()) + ", and " + Long.toHexString(entry.getCrc())
                    + " was written");
        }
    }

    private Map<String, Tensor> tensors(Object raw) {
        if (!(raw instanceof Map<?, ?> map)) {
            throw new CorruptDataException(path + " holds no dict of tensors, but "
                    + (raw == null ? "None" : raw.getClass().getSimpleName()));
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        map.forEach((name, value) -> {
            if (!(name instanceof String key) || !(value instanceof Tensor tensor)) {
                throw new UnsupportedException(path + " holds more than tensors by name, at " + name
                        + ": save model.state_dict() alone, or read it with TorchFile.load");
            }
            tensors.put(key, give(tensor));
        });
        return tensors;
    }

    /** Two places may have one tensor; each gets a handle, so that each can be closed. */
    private Tensor give(Tensor tensor) {
        Tensor given = this.given.contains(tensor) ? tensor.share() : tensor;
        this.given.add(given);
        return given;
    }

    /** What the unpickler made, in the classes that TorchFile promises. */
    private Object plain(Object raw, String where, int depth) {
        return switch (raw) {
            case null -> null;
            case Boolean flag -> flag;
            case Integer number -> number.longValue();
            case Long number -> number;
            case Double number -> number;
            case String text -> text;
            case Tensor tensor -> give(tensor);
            case List<?> list ->
                container(list, new ArrayList<>(), where, depth, (result, below) -> {
                    for (Object element : list) {
                        result.add(plain(element, below + "[" + result.size() + "]", depth + 1));
                    }
                });
            case Object[] tuple ->
                container(tuple, new ArrayList<>(), where, depth, (result, below) -> {
                    for (Object element : tuple) {
                        result.add(plain(element, below + "[" + result.size() + "]", depth + 1));
                    }
                });
            case Map<?, ?> map ->
                container(
                        map,
                        new LinkedHashMap<>(),
                        where,
                        depth,
                        (result, below) -> map.forEach((key, element) -> result.put(
                                plain(key, below, depth + 1), plain(element, below + "." + key, depth + 1))));
            default ->
                throw new UnsupportedException(path + " has, at " + where + ", a "
                        + raw.getClass().getSimpleName() + ", which is no plain value");
        };
    }

    /** One that is in the file at several places is one in the result too, or a small file could become a huge one. */
    @SuppressWarnings("unchecked")
    private <T> T container(Object raw, T result, String where, int depth, BiConsumer<T, String> fill) {
        if (depth == TorchFile.DEEPEST) {
            throw new UnsupportedException(path + " is more than " + TorchFile.DEEPEST + " levels deep, at " + where);
        }
        Object known = containers.get(raw);
        if (known != null) {
            return (T) known;
        }
        containers.put(raw, result);
        fill.accept(result, depth == 0 ? "it" : where);
        return result;
    }

    private static Object orderedDict(Object[] arguments) {
        Map<Object, Object> map = new LinkedHashMap<>();
        if (arguments.length > 0) {
            for (Object pair : (List<?>) arguments[0]) {
                Object[] entry = (Object[]) pair;
                put(map, entry[0], entry[1], "the file");
            }
        }
        return map;
    }

    /** No list may be a key: the hash of one that holds itself never ends. */
    private static void put(Map<Object, Object> map, Object key, Object value, Object file) {
        if (!(key instanceof String || key instanceof Number || key instanceof Boolean)) {
            throw new UnsupportedException(file + " has a dict with a key that is no string and no number");
        }
        map.put(key, value);
    }

    private static Object rebuildTensor(Object[] arguments) {
        Tensor storage = (Tensor) arguments[0];
        long offset = ((Number) arguments[1]).longValue();
        return AS_STRIDED.call(storage, longs(arguments[2]), longs(arguments[3]), offset);
    }

    private static long[] longs(Object tuple) {
        Object[] values = (Object[]) tuple;
        long[] result = new long[values.length];
        for (int i = 0; i < result.length; i++) {
            result[i] = ((Number) values[i]).longValue();
        }
        return result;
    }

    /** {@code id}: ("storage", type, key, device, number of elements). */
    private Tensor storage(Object[] id) {
        DType dtype = (DType) id[1];
        String key = (String) id[2];
        Tensor known = storages.get(key);
        if (known != null) {
            return known;
        }
        long count = ((Number) id[4]).longValue();
        ZipEntry entry = zip.getEntry(root + "data/" + key);
        if (entry == null) {
            throw new CorruptDataException(path + " has no record data/" + key);
        }
        if (count < 0 || count > Long.MAX_VALUE / dtype.size() || entry.getSize() != count * dtype.size()) {
            throw new CorruptDataException(path + ": record data/" + key + " has " + entry.getSize() + " bytes, but "
                    + count + " elements of " + dtype + " were written");
        }
        takeFromFile(entry);
        Tensor tensor = Tensor.empty(dtype, count);
        try (InputStream stream = zip.getInputStream(entry)) {
            var checksum = new CRC32();
            byte[] buffer = new byte[1 << 16];
            MemorySegment target = tensor.data();
            long at = 0;
            for (int read; (read = stream.read(buffer)) > 0; at += read) {
                checksum.update(buffer, 0, read);
                MemorySegment.copy(buffer, 0, target, java.lang.foreign.ValueLayout.JAVA_BYTE, at, read);
            }
            if (at != target.byteSize()) {
                throw new CorruptDataException(
                        path + ": record data/" + key + " ends after " + at + " bytes of " + target.byteSize());
            }
            requireChecksum(entry, checksum);
        } catch (IOException e) {
            throw new CorruptDataException(path + ": record data/" + key + " cannot be read: " + e.getMessage());
        }
        storages.put(key, tensor);
        return tensor;
    }

    /** An unpickler that knows the allow-list alone, ignores attributes, and finds storages in the zip file. */
    private static final class AllowListUnpickler extends Unpickler {
        private final TorchFileReader reader;

        AllowListUnpickler(TorchFileReader reader) {
            this.reader = reader;
        }

        @Override
        protected Object dispatch(short opcode) throws IOException {
            switch (opcode) {
                case Opcodes.GLOBAL -> {
                    String module = PickleUtils.readline(input);
                    pushGlobal(module, PickleUtils.readline(input));
                    return NO_RETURN_VALUE;
                }
                case Opcodes.STACK_GLOBAL -> {
                    String name = (String) stack.pop();
                    pushGlobal((String) stack.pop(), name);
                    return NO_RETURN_VALUE;
                }
                case Opcodes.EMPTY_DICT -> {
                    // Here and below, the unpickler's own is a HashMap, which would forget the order.
                    stack.add(new LinkedHashMap<>());
                    return NO_RETURN_VALUE;
                }
                case Opcodes.SETITEMS -> {
                    List<Object> items = stack.pop_all_since_marker();
                    @SuppressWarnings("unchecked")
                    Map<Object, Object> map = (Map<Object, Object>) stack.peek();
                    for (int i = 0; i < items.size(); i += 2) {
                        put(map, items.get(i), items.get(i + 1), reader.path);
                    }
                    return NO_RETURN_VALUE;
                }
                case Opcodes.SETITEM -> {
                    Object value = stack.pop();
                    Object key = stack.pop();
                    @SuppressWarnings("unchecked")
                    Map<Object, Object> map = (Map<Object, Object>) stack.peek();
                    put(map, key, value, reader.path);
                    return NO_RETURN_VALUE;
                }
                case Opcodes.BUILD -> {
                    stack.pop();
                    return NO_RETURN_VALUE;
                }
                case Opcodes.DICT,
                        Opcodes.EMPTY_SET,
                        Opcodes.ADDITEMS,
                        Opcodes.FROZENSET,
                        Opcodes.INST,
                        Opcodes.OBJ,
                        Opcodes.EXT1,
                        Opcodes.EXT2,
                        Opcodes.EXT4,
                        Opcodes.NEWOBJ,
                        Opcodes.NEWOBJ_EX ->
                    throw new UnsupportedException(reader.path + " makes an object by pickle opcode " + opcode
                            + ", which no tensor and no plain value needs");
                default -> {
                    return super.dispatch(opcode);
                }
            }
        }

        private void pushGlobal(String module, String name) {
            Object global = GLOBALS.get(module + " " + name);
            if (global == null) {
                throw new UnsupportedException(reader.path + " names " + module + "." + name
                        + ", which is no part of a tensor; save model.state_dict() and plain values alone");
            }
            stack.add(global);
        }

        @Override
        protected Object persistentLoad(Object id) {
            return reader.storage((Object[]) id);
        }
    }
}
