package io.lancetorch.tensor;

import io.lancetorch.bindings.NativeLibraries;
import io.lancetorch.bindings.cuda.cuda_h;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;

/**
 * Work on a GPU that is recorded once and done again by one call, on the same memory: for steps of one shape that are bound by
 * the launching of many small kernels. What changes from step to step is copied into tensors that were there at the recording.
 *
 * <pre>{@code
 * try (var graph = CudaGraph.record(device, () -> output = model.forward(input))) {   // after a few steps as usual
 *     input.copyFrom(batch.get("image"));
 *     graph.replay();                              // `output` has the values for the new input
 * }
 * }</pre>
 *
 * While it is recorded, nothing may wait for the device, such as {@link Tensor#item}. Tensors that were made meanwhile must live
 * as long as the graph is used. One thread at a time. The caller closes it.
 */
public final class CudaGraph implements AutoCloseable {
    private MemorySegment handle;

    private CudaGraph() {
        NativeLibraries.cuda();
        Native frame = Native.get();
        frame.check(cuda_h.lt_cuda_graph_create(frame.out, frame.error));
        handle = MemorySegment.ofAddress(frame.outAddress());
    }

    /**
     * Records what {@code work} queues, on a stream of its own behind the current one, and does none of it.
     *
     * @throws UnsupportedException without a GPU, or with a shim that was built for a libtorch without CUDA
     */
    public static CudaGraph record(Device device, Runnable work) {
        var graph = new CudaGraph();
        try (Stream before = Stream.current(device);
                Stream stream = Stream.create(device);
                var ready = new Event(device, false)) {
            ready.record(before);
            stream.await(ready);
            stream.makeCurrent();
            try {
                graph.record(work);
            } finally {
                before.makeCurrent();
            }
        } catch (RuntimeException | Error e) {
            graph.close();
            throw e;
        }
        return graph;
    }

    private void record(Runnable work) {
        Native frame = Native.get();
        frame.check(cuda_h.lt_cuda_graph_begin(handle, frame.error));
        try {
            work.run();
        } catch (RuntimeException | Error e) {
            // The stream must not stay in recording; that this fails too says nothing new.
            cuda_h.lt_cuda_graph_end(handle, frame.error);
            throw e;
        }
        frame.check(cuda_h.lt_cuda_graph_end(handle, frame.error));
    }

    /** Queues what was recorded on the calling thread's current stream. */
    public void replay() {
        if (handle == null) {
            throw new IllegalStateException("this CudaGraph is closed");
        }
        Native frame = Native.get();
        frame.check(cuda_h.lt_cuda_graph_replay(handle, frame.error));
    }

    @Override
    public void close() {
        if (handle != null) {
            cuda_h.lt_cuda_graph_release(handle);
            handle = null;
        }
    }
}
