package io.lancetorch.jmh;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.tensor.Op;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What one operator call costs: {@code at::add} of two float tensors of one element, from the call to the end of the
 * result. The arithmetic is nothing, so this is the price of the way there.
 *
 * <ul>
 *   <li>{@code lancetorch}: {@link Ops#add} and {@link Tensor#close}; {@code lancetorch-scope}: the same where a
 *       {@link TensorScope} frees {@value #SCOPE} results at once.
 *   <li>The peers, {@code javacpp-presets} and {@code javacpp-presets-scope}: the same two by JNI, in forks of their own.
 *       Both sides use the same libtorch, the one inside the presets, unless {@code lancetorch.libtorch} names another.
 *   <li>{@code javacpp-presets-nogc}, to compare: the presets with JavaCPP's reference queue and its count of memory
 *       switched off by system properties. Few do that, as what is not closed is then lost; but it is so with ours.
 *   <li>The limit, {@code bare-downcall}: {@code lt_op_call} with arguments that stand ready, and {@code lt_tensor_release}.
 * </ul>
 *
 * Run it with {@code ./lancetorch bench op}, on a machine that does nothing else.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(2)
public class OpBenchmark {
    static final int SCOPE = 100;

    /** Our two tensors. */
    @State(Scope.Thread)
    public static class Ours {
        Tensor a;
        Tensor b;

        @Setup
        public void make() {
            Torch.numThreads(1);
            a = Tensor.of(new float[] {1});
            b = Tensor.of(new float[] {2});
            try (Tensor sum = Ops.add(a, b)) {
                requireThree(sum.item());
            }
        }

        @TearDown
        public void free() {
            a.close();
            b.close();
        }
    }

    /** The presets' two tensors. */
    @State(Scope.Thread)
    public static class Presets {
        org.bytedeco.pytorch.Tensor a;
        org.bytedeco.pytorch.Tensor b;

        @Setup
        public void make() {
            torch.set_num_threads(1);
            a = torch.ones(1);
            b = a.add(a);
            try (org.bytedeco.pytorch.Tensor sum = a.add(b)) {
                requireThree(sum.item_float());
            }
        }

        @TearDown
        public void free() {
            a.close();
            b.close();
        }
    }

    /** A call whose arguments stand ready in native memory. */
    @State(Scope.Thread)
    public static class Bare {
        private static final long VALUE_SIZE = 16;
        private static final long VALUE_AS = 8;

        private final Arena arena = Arena.ofConfined();
        private final MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
        private final MemorySegment arguments = arena.allocate(2 * VALUE_SIZE, 8);
        private final MemorySegment results = arena.allocate(VALUE_SIZE, 8);
        private final MemorySegment resultCount = arena.allocate(JAVA_INT);
        private final Ours ours = new Ours();
        private MemorySegment op;

        @Setup
        public void make() {
            ours.make();
            Op.find("aten::add", "Tensor");
            MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(
                    torch_h.lt_op_find(arena.allocateFrom("aten::add"), arena.allocateFrom("Tensor"), out, error),
                    error);
            op = MemorySegment.ofAddress(out.get(JAVA_LONG, 0));
            argument(0, ours.a);
            argument(1, ours.b);
        }

        private void argument(int index, Tensor tensor) {
            arguments.set(JAVA_INT, index * VALUE_SIZE, torch_h.LT_VALUE_TENSOR());
            arguments.set(
                    JAVA_LONG,
                    index * VALUE_SIZE + VALUE_AS,
                    tensor.nativeHandle().address());
        }

        void call() {
            int status = torch_h.lt_op_call(op, arguments, 2, results, 1, resultCount, error);
            if (status != 0) {
                Status.check(status, error);
            }
            torch_h.lt_tensor_release(MemorySegment.ofAddress(results.get(JAVA_LONG, VALUE_AS)));
        }

        @TearDown
        public void free() {
            ours.free();
            arena.close();
        }
    }

    private static void requireThree(double sum) {
        if (sum != 3) {
            throw new IllegalStateException("1 + 2 is not " + sum);
        }
    }

    @Benchmark
    public void lancetorch(Ours ours) {
        Ops.add(ours.a, ours.b).close();
    }

    @Benchmark
    @OperationsPerInvocation(SCOPE)
    public void lancetorchScope(Ours ours) {
        try (var _ = new TensorScope()) {
            for (int i = 0; i < SCOPE; i++) {
                Ops.add(ours.a, ours.b);
            }
        }
    }

    @Benchmark
    public void presets(Presets presets) {
        presets.a.add(presets.b).close();
    }

    @Benchmark
    @OperationsPerInvocation(SCOPE)
    public void presetsScope(Presets presets) {
        try (var _ = new PointerScope()) {
            for (int i = 0; i < SCOPE; i++) {
                presets.a.add(presets.b);
            }
        }
    }

    @Benchmark
    public void bareDowncall(Bare bare) {
        bare.call();
    }
}
