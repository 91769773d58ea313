package io.lancetorch.safety;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import io.lancetorch.data.Batch;
import io.lancetorch.data.DataLoader;
import io.lancetorch.data.LoaderState;
import io.lancetorch.distributed.DistributedDataParallel;
import io.lancetorch.distributed.ProcessGroup;
import io.lancetorch.distributed.ReduceOp;
import io.lancetorch.distributed.Store;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.lance.Blob;
import io.lancetorch.lance.Column;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.RecordBatch;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.Event;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Optimizer;
import io.lancetorch.tensor.Stream;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.testing.TestImages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every public method of every class that is closed is called on a closed object, with arguments that would do on an open one:
 * it answers from what it remembers, or throws an exception of the API, and the process lives on.
 */
@Timeout(60)
class AfterCloseTest {
    @TempDir
    private Path folder;

    private final Deque<AutoCloseable> others = new ArrayDeque<>();
    private LanceDataset dataset;

    @BeforeEach
    void write() {
        dataset = opened(TestImages.grays(folder.resolve("images.lance"), 20, 7, Set.of()));
    }

    @AfterEach
    void closeOthers() throws Exception {
        while (!others.isEmpty()) {
            others.pop().close();
        }
    }

    private <T extends AutoCloseable> T opened(T other) {
        others.push(other);
        return other;
    }

    private Tensor tensor() {
        return opened(Tensor.of(new float[] {1}));
    }

    private Store store() {
        return opened(Store.tcp("127.0.0.1", 0, true, 1, Duration.ofSeconds(5)));
    }

    private ProcessGroup group() {
        return opened(ProcessGroup.gloo(store(), 0, 1, "127.0.0.1", Duration.ofSeconds(5)));
    }

    /** What would do on an open object, by the parameter's type. */
    private Object argument(Class<?> type) {
        Map<Class<?>, Object> known = new HashMap<>();
        known.put(int.class, 0);
        known.put(long.class, 0L);
        known.put(double.class, 0.5);
        known.put(boolean.class, false);
        known.put(long[].class, new long[] {0});
        known.put(byte[].class, new byte[8]);
        known.put(String.class, "id");
        known.put(String[].class, new String[] {"id"});
        known.put(Object[].class, new Object[] {1L});
        known.put(List.class, List.of());
        known.put(Map.class, Map.of());
        known.put(Duration.class, Duration.ofMillis(10));
        known.put(DType.class, DType.FLOAT32);
        known.put(Device.class, Device.CPU);
        known.put(MemoryFormat.class, MemoryFormat.CONTIGUOUS);
        known.put(ReduceOp.class, ReduceOp.SUM);
        known.put(Throwable.class, new IllegalStateException("a reason"));
        known.put(Supplier.class, (Supplier<Tensor>) this::tensor);
        known.put(MemorySegment.class, Arena.ofAuto().allocate(256, 8));
        if (type == Tensor.class) {
            return tensor();
        }
        if (type == Store.class) {
            return store();
        }
        if (type == Stream.class) {
            return opened(Stream.current(Device.CPU));
        }
        if (type == Event.class) {
            return opened(new Event(Device.CPU, false));
        }
        if (type == LoaderState.class) {
            return opened(DataLoader.of(dataset).columns("id").open()).state();
        }
        if (type == Consumer.class) {
            return (Consumer<Object>) ignored -> {};
        }
        if (type == RecordBatch.class) {
            return opened(dataset.take(new long[] {0}, "id"));
        }
        return known.getOrDefault(type, null);
    }

    private void useAfterClose(AutoCloseable object) throws Exception {
        object.close();
        assertThatCode(object::close).as("a second close").doesNotThrowAnyException();
        int refused = 0;
        for (Method method : object.getClass().getMethods()) {
            if (method.getDeclaringClass() == Object.class || Modifier.isStatic(method.getModifiers())) {
                continue;
            }
            Object[] arguments = new Object[method.getParameterCount()];
            for (int i = 0; i < arguments.length; i++) {
                arguments[i] = argument(method.getParameterTypes()[i]);
            }
            try {
                Object result = method.invoke(object, arguments);
                if (result instanceof AutoCloseable made && made != object) {
                    opened(made);
                }
            } catch (InvocationTargetException e) {
                refused++;
                assertThat(e.getCause())
                        .as("%s after close", method)
                        .isInstanceOfAny(IllegalStateException.class, LanceTorchException.class);
                assertThat(e.getCause().getMessage()).as("%s", method).isNotBlank();
            }
        }
        assertThat(refused)
                .as("methods of %s that need it open", object.getClass())
                .isPositive();
    }

    @Test
    void tensors() throws Exception {
        useAfterClose(Tensor.of(new float[] {1}));
        useAfterClose(new TensorScope());
        useAfterClose(Stream.current(Device.CPU));
        useAfterClose(new Event(Device.CPU, false));
        useAfterClose(Optimizer.sgd(List.of(tensor()), 0.1, 0.9, 0));
        useAfterClose(Optimizer.adamW(List.of(tensor()), 0.1, 0));
    }

    @Test
    void datasets() throws Exception {
        useAfterClose(LanceDataset.open(dataset.uri()));
        useAfterClose(dataset.scan().open());
        RecordBatch batch = dataset.take(new long[] {0}, "image");
        Column retained = batch.column(0).retain();
        batch.close();
        assertThat(retained.bytes(0).byteSize()).isPositive();
        useAfterClose(retained);
        Schema schema = Schema.of(Field.int64("id"), Field.blob("video"));
        String uri = folder.resolve("blobs.lance").toString();
        try (var writer = LanceWriter.to(uri, schema).open()) {
            writer.append(0L, new byte[100]);
            writer.finish();
        }
        try (var blobs = LanceDataset.open(uri)) {
            Blob blob = blobs.blobs("video", 0).getFirst();
            useAfterClose(blob);
        }
        useAfterClose(LanceWriter.to(folder.resolve("left.lance").toString(), Schema.of(Field.int64("id")))
                .open());
    }

    @Test
    void columnsOfABatchThatIsClosed() throws Exception {
        RecordBatch batch = dataset.take(new long[] {0}, "image");
        Column column = batch.column(0);
        batch.close();
        useAfterClose(column);
    }

    @Test
    void loaders() throws Exception {
        DataLoader loader = DataLoader.of(dataset).columns("id").batchSize(4).open();
        var iterator = loader.iterator();
        Batch batch = iterator.next();
        useAfterClose(loader);
        assertThatCode(batch::close).doesNotThrowAnyException();
        assertThatCode(batch::close).doesNotThrowAnyException();
        assertThat(batch.get("id").isClosed()).isTrue();
    }

    @Test
    void ranks() throws Exception {
        useAfterClose(Store.tcp("127.0.0.1", 0, true, 1, Duration.ofSeconds(5)));
        useAfterClose(ProcessGroup.gloo(store(), 0, 1, "127.0.0.1", Duration.ofSeconds(5)));
        useAfterClose(group().allReduceAsync(tensor(), ReduceOp.SUM, Duration.ZERO));
        Tensor weight = tensor();
        weight.requiresGrad(true);
        useAfterClose(new DistributedDataParallel(group(), List.of(weight), List.of()));
    }

    @Test
    void workOfAGroupThatIsClosed() throws Exception {
        ProcessGroup group = group();
        var work = opened(group.allReduceAsync(tensor(), ReduceOp.SUM, Duration.ZERO));
        group.close();
        work.await();
        useAfterClose(work);
    }
}
