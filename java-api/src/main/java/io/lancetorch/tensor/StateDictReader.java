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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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
final class StateDictReader {
    private static final long MAX_PICKLE_BYTES = 256L << 20;

    private static final Op AS_STRIDED = Op.lazy("aten::as_strided", "");

    private static final Map<String, Object> GLOBALS = globals();

    private final Path path;
    private final ZipFile zip;
    private final String root;
    private final Map<String, Tensor> storages = new HashMap<>();

    private StateDictReader(Path path, ZipFile zip, String root) {
        this.path = path;
        this.zip = zip;
        this.root = root;
    }

    private static Map<String, Object> globals() {
        Map<String, Object> globals = new HashMap<>();
        globals.put("collections OrderedDict", (IObjectConstructor) StateDictReader::orderedDict);
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
        globals.put("torch._utils _rebuild_tensor_v2", (IObjectConstructor) StateDictReader::rebuildTensor);
        globals.put("torch._utils _rebuild_parameter", (IObjectConstructor) arguments -> arguments[0]);
        return globals;
    }

    static Map<String, Tensor> read(Path path) {
        if (!Files.isRegularFile(path)) {
            throw new NotFoundException("no file " + path);
        }
        Map<String, Tensor> result;
        try (var scope = new TensorScope();
                ZipFile zip = new ZipFile(path.toFile())) {
            ZipEntry pickle = zip.stream()
                    .filter(entry -> entry.getName().endsWith("/data.pkl"))
                    .findFirst()
                    .orElseThrow(
                            () -> new CorruptDataException(path + " has no data.pkl: it is no file of torch.save"));
            String root = pickle.getName().substring(0, pickle.getName().length() - "data.pkl".length());
            var reader = new StateDictReader(path, zip, root);
            reader.requireLittleEndian();
            result = reader.tensors(reader.unpickle(pickle));
            result.replaceAll((_, tensor) -> scope.moveToOuter(tensor));
        } catch (InvalidArgumentException e) {
            throw new CorruptDataException(path + " describes a tensor that cannot be: " + e.getMessage());
        } catch (LanceTorchException e) {
            throw e;
        } catch (ZipException e) {
            throw new CorruptDataException(path + " is no whole zip file, as torch.save writes it: " + e.getMessage());
        } catch (IOException e) {
            throw new StorageException("cannot read " + path + ": " + e.getMessage(), e);
        } catch (RuntimeException | OutOfMemoryError | StackOverflowError e) {
            // The unpickler meets damaged bytes with whatever exception its own code runs into.
            throw new CorruptDataException(path + " has a data.pkl that is no state dict: " + e);
        }
        return result;
    }

    private void requireLittleEndian() throws IOException {
        ZipEntry entry = zip.getEntry(root + "byteorder");
        if (entry != null) {
            try (InputStream stream = zip.getInputStream(entry)) {
                String order = new String(stream.readNBytes(16), java.nio.charset.StandardCharsets.US_ASCII);
                if (!order.equals("little")) {
                    throw new UnsupportedException(path + " was written in byte order " + order);
                }
            }
        }
    }

    private Object unpickle(ZipEntry entry) throws IOException {
        if (entry.getSize() > MAX_PICKLE_BYTES) {
            throw new CorruptDataException(path + " has a data.pkl of " + entry.getSize() + " bytes");
        }
        byte[] bytes;
        try (InputStream stream = zip.getInputStream(entry)) {
            bytes = stream.readNBytes((int) MAX_PICKLE_BYTES);
        }
        return new AllowListUnpickler(this).load(new ByteArrayInputStream(bytes));
    }

    private Map<String, Tensor> tensors(Object root) {
        if (!(root instanceof Map<?, ?> map)) {
            throw new CorruptDataException(path + " holds no dict of tensors, but "
                    + (root == null ? "None" : root.getClass().getSimpleName()));
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        map.forEach((name, value) -> {
            if (!(name instanceof String key) || !(value instanceof Tensor tensor)) {
                throw new UnsupportedException(
                        path + " holds more than tensors by name, at " + name + ": save model.state_dict() alone");
            }
            // Two names may share one tensor; each gets a handle, so that each can be closed.
            tensors.put(key, tensors.containsValue(tensor) ? tensor.share() : tensor);
        });
        return tensors;
    }

    private static Object orderedDict(Object[] arguments) {
        Map<Object, Object> map = new LinkedHashMap<>();
        if (arguments.length > 0) {
            for (Object pair : (List<?>) arguments[0]) {
                Object[] entry = (Object[]) pair;
                map.put(entry[0], entry[1]);
            }
        }
        return map;
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
        if (count < 0 || entry.getSize() != count * dtype.size()) {
            throw new CorruptDataException(path + ": record data/" + key + " has " + entry.getSize() + " bytes, but "
                    + count + " elements of " + dtype + " were written");
        }
        Tensor tensor = Tensor.empty(dtype, count);
        try (InputStream stream = zip.getInputStream(entry)) {
            byte[] buffer = new byte[1 << 16];
            MemorySegment target = tensor.data();
            long at = 0;
            for (int read; (read = stream.read(buffer)) > 0; at += read) {
                MemorySegment.copy(buffer, 0, target, java.lang.foreign.ValueLayout.JAVA_BYTE, at, read);
            }
            if (at != target.byteSize()) {
                throw new CorruptDataException(
                        path + ": record data/" + key + " ends after " + at + " bytes of " + target.byteSize());
            }
        } catch (IOException e) {
            throw new CorruptDataException(path + ": record data/" + key + " cannot be read: " + e.getMessage());
        }
        storages.put(key, tensor);
        return tensor;
    }

    /** An unpickler that knows the allow-list alone, ignores attributes, and finds storages in the zip file. */
    private static final class AllowListUnpickler extends Unpickler {
        private final StateDictReader reader;

        AllowListUnpickler(StateDictReader reader) {
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
                        map.put(items.get(i), items.get(i + 1));
                    }
                    return NO_RETURN_VALUE;
                }
                case Opcodes.BUILD -> {
                    stack.pop();
                    return NO_RETURN_VALUE;
                }
                case Opcodes.INST,
                        Opcodes.OBJ,
                        Opcodes.EXT1,
                        Opcodes.EXT2,
                        Opcodes.EXT4,
                        Opcodes.NEWOBJ,
                        Opcodes.NEWOBJ_EX ->
                    throw new UnsupportedException(reader.path + " makes an object by pickle opcode " + opcode
                            + ", which no state dict needs");
                default -> {
                    return super.dispatch(opcode);
                }
            }
        }

        private void pushGlobal(String module, String name) {
            Object global = GLOBALS.get(module + " " + name);
            if (global == null) {
                throw new UnsupportedException(reader.path + " names " + module + "." + name
                        + ", which has no place in a state dict; save model.state_dict() alone");
            }
            stack.add(global);
        }

        @Override
        protected Object persistentLoad(Object id) {
            return reader.storage((Object[]) id);
        }
    }
}
