package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.lancetorch.bindings.torch.torch_h;
import java.lang.foreign.MemorySegment;

/**
 * A queue of work on a device. The caller closes it, which does not wait for the work. On the CPU, where work is done when
 * the call returns, all streams are the one default stream.
 */
public final class Stream implements AutoCloseable {
    private MemorySegment handle;

    private Stream(Native frame) {
        handle = MemorySegment.ofAddress(frame.outAddress());
    }

    /** The calling thread's current stream of a device. */
    public static Stream current(Device device) {
        Native frame = Native.get();
        frame.check(torch_h.lt_stream_current(frame.device(device), frame.out, frame.error));
        return new Stream(frame);
    }

    /** Another stream than the default one, from libtorch's pool. */
    public static Stream create(Device device) {
        Native frame = Native.get();
        frame.check(torch_h.lt_stream_create(frame.device(device), 0, frame.out, frame.error));
        return new Stream(frame);
    }

    MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("this Stream is closed");
        }
        return handle;
    }

    /** Makes it the calling thread's current stream of its device. */
    public void makeCurrent() {
        Native frame = Native.get();
        frame.check(torch_h.lt_stream_set_current(handle(), frame.error));
    }

    /** Waits until nothing is left to do. */
    public void synchronize() {
        Native frame = Native.get();
        frame.check(torch_h.lt_stream_synchronize(handle(), frame.error));
    }

    /** Whether nothing is left to do. */
    public boolean isDone() {
        Native frame = Native.get();
        frame.check(torch_h.lt_stream_query(handle(), frame.out, frame.error));
        return frame.out.get(JAVA_INT, 0) != 0;
    }

    /** Keeps the tensor's memory from being used again before the work that is queued now is done. */
    public void record(Tensor tensor) {
        Native frame = Native.get();
        frame.check(torch_h.lt_stream_record_tensor(handle(), tensor.pointer(), frame.error));
    }

    /** Makes later work of this stream wait for the event. */
    public void await(Event event) {
        Native frame = Native.get();
        frame.check(torch_h.lt_event_block(event.handle(), handle(), frame.error));
    }

    @Override
    public void close() {
        if (handle != null) {
            torch_h.lt_stream_release(handle);
            handle = null;
        }
    }
}
