package io.lancetorch.interop;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.Status;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

/**
 * Tensors to and from the JavaCPP presets for PyTorch ({@code org.bytedeco:pytorch}), such that a model made of the
 * presets' {@code nn} classes trains on batches of this library.
 *
 * <pre>{@code
 * for (Batch batch : loader) {
 *     try (var scope = new PointerScope()) {
 *         var images = JavaCppInterop.toJavaCpp(batch.get("image"));
 *         var labels = JavaCppInterop.toJavaCpp(batch.get("label"));
 *         optimizer.zero_grad();
 *         torch.cross_entropy(model.forward(images), labels).backward();
 *         optimizer.step();
 *     }
 * }
 * }</pre>
 *
 * <p>Both sides then have one and the same {@code at::Tensor}: elements, gradient, history and version are shared, and
 * nothing is copied. Each side counts as one reference and is closed by itself, in any order; memory that a tensor aliases,
 * such as a column of a dataset, lives until the last of them is closed. What a loader's tensors say holds on the other
 * side too: they are to be read, not written in place.
 *
 * <p>That needs one libtorch in the process, the presets' own, which is what lancetorch opens unless another is named. The
 * user's build names {@code org.bytedeco:pytorch} in the version that lancetorch uses; the native libraries come with
 * lancetorch. Any thread may call.
 */
public final class JavaCppInterop {
    /** An error and an address, for the calling thread. */
    private static final ThreadLocal<MemorySegment> FRAME =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(Status.ERROR_SIZE + JAVA_LONG.byteSize(), 8));

    private JavaCppInterop() {}

    /**
     * The tensor for the presets' API. The caller, a {@code PointerScope} or JavaCPP's garbage collection closes it.
     *
     * @throws IllegalStateException for a tensor that is closed
     * @throws UnsupportedException where lancetorch runs with another libtorch than the presets'
     * @throws NotFoundException where the presets cannot be opened
     */
    public static org.bytedeco.pytorch.Tensor toJavaCpp(Tensor tensor) {
        SharedLibtorch.require();
        MemorySegment handle = tensor.nativeHandle();
        var target = new org.bytedeco.pytorch.Tensor();
        try {
            fill(handle, target);
            return target;
        } catch (RuntimeException e) {
            target.close();
            throw e;
        }
    }

    private static void fill(MemorySegment handle, org.bytedeco.pytorch.Tensor target) {
        MemorySegment error = FRAME.get();
        Status.check(torch_h.lt_tensor_to_at(handle, MemorySegment.ofAddress(target.address()), error), error);
    }

    /**
     * The presets' tensor for this API. It belongs to the calling thread's innermost {@link TensorScope}, or to the caller.
     *
     * @throws IllegalStateException for a tensor that is closed
     * @throws InvalidArgumentException for an undefined one
     * @throws UnsupportedException where lancetorch runs with another libtorch than the presets'
     * @throws NotFoundException where the presets cannot be opened
     */
    public static Tensor fromJavaCpp(org.bytedeco.pytorch.Tensor tensor) {
        SharedLibtorch.require();
        if (tensor.isNull()) {
            throw new IllegalStateException("the org.bytedeco.pytorch.Tensor is closed");
        }
        MemorySegment error = FRAME.get();
        MemorySegment out = error.asSlice(Status.ERROR_SIZE);
        long address = tensor.address() + tensor.position() * tensor.sizeof();
        try {
            Status.check(torch_h.lt_tensor_from_at(MemorySegment.ofAddress(address), out, error), error);
        } finally {
            // JavaCPP would else be free to collect it during the call.
            Reference.reachabilityFence(tensor);
        }
        return Tensor.fromHandle(MemorySegment.ofAddress(out.get(JAVA_LONG, 0)));
    }

    /** Whether the presets' JNI glue has the very libtorch that our shim has, found out once. */
    private static final class SharedLibtorch {
        private static final RuntimeException FAILURE = attempt();

        static void require() {
            if (FAILURE != null) {
                throw FAILURE;
            }
        }

        private static RuntimeException attempt() {
            try {
                // Before either side is opened: two copies of libtorch in one process may end it.
                String named = NativeLibraries.namedLibtorch();
                if (named != null) {
                    return new UnsupportedException("lancetorch runs with the libtorch at " + named
                            + " and the JavaCPP presets with the one in their jar: two copies of libtorch cannot share a"
                            + " tensor. Leave -Dlancetorch.libtorch and LANCETORCH_LIBTORCH away, and use a shim that was"
                            + " built without --libtorch");
                }
                NativeLibraries.torch();
            } catch (LanceTorchException e) {
                return e;
            }
            try (Tensor ours = TensorScope.detach(Tensor.of(new float[] {1}));
                    var theirs = new org.bytedeco.pytorch.Tensor()) {
                fill(ours.nativeHandle(), theirs);
                return null;
            } catch (UnsupportedException e) {
                return new UnsupportedException(
                        "the JavaCPP presets have opened another copy of libtorch than lancetorch, which cannot share a"
                                + " tensor with it: let JavaCPP take its libraries from the presets' jars, in the version"
                                + " that lancetorch uses (" + e.getMessage() + ")",
                        e);
            } catch (LinkageError e) {
                return new NotFoundException(
                        "the JavaCPP presets cannot be opened (" + e + "): add org.bytedeco:pytorch with all that it"
                                + " depends on, in the version that lancetorch uses",
                        e);
            }
        }
    }
}
