package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.MemorySegment;

/** A mark in a stream of a device. The caller closes it. On the CPU it is done once recorded. */
public final class Event implements AutoCloseable {
    private MemorySegment handle;

    /** {@code timing}: so that {@link #millisecondsUntil} can be asked. */
    public Event(Device device, boolean timing) {
        Native frame = Native.get();
        frame.check(torch_h.lt_event_create(frame.device(device), timing ? 1 : 0, frame.out, frame.error));
        handle = MemorySegment.ofAddress(frame.outAddress());
    }

    MemorySegment handle() {
        if (handle == null) {
            throw new IllegalStateException("this Event is closed");
        }
        return handle;
    }

    /** Marks what is queued on the stream now. */
    public void record(Stream stream) {
        Native frame = Native.get();
        frame.check(torch_h.lt_event_record(handle(), stream.handle(), frame.error));
    }

    /** Whether what it marks is done. */
    public boolean isDone() {
        Native frame = Native.get();
        frame.check(torch_h.lt_event_query(handle(), frame.out, frame.error));
        return frame.out.get(JAVA_INT, 0) != 0;
    }

    /** Waits until what it marks is done. */
    public void synchronize() {
        Native frame = Native.get();
        frame.check(torch_h.lt_event_synchronize(handle(), frame.error));
    }

    /**
     * Milliseconds on the device from this event to a later one.
     *
     * @throws UnsupportedException on the CPU
     */
    public double millisecondsUntil(Event end) {
        Native frame = Native.get();
        frame.check(torch_h.lt_event_elapsed(handle(), end.handle(), frame.out, frame.error));
        return frame.out.get(JAVA_DOUBLE, 0);
    }

    @Override
    public void close() {
        if (handle != null) {
            torch_h.lt_event_release(handle);
            handle = null;
        }
    }
}
