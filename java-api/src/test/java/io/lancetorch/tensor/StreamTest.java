package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.UnsupportedException;
import org.junit.jupiter.api.Test;

/** Streams and events on the CPU, where all work is done when the call returns. */
class StreamTest {
    @Test
    void cpuHasOneDeviceAndNothingToWaitFor() {
        assertThat(Device.count(Device.Type.CPU)).isEqualTo(1);
        assertThat(Device.count(Device.Type.CUDA)).isNotNegative();
        assertThatCode(Device.CPU::synchronize).doesNotThrowAnyException();
    }

    @Test
    void streamsAreDoneAtOnce() {
        try (Stream current = Stream.current(Device.CPU);
                Stream other = Stream.create(Device.CPU);
                Tensor tensor = Tensor.of(new float[] {1})) {
            assertThat(Torch.liveHandles(Torch.Kind.STREAM)).isEqualTo(2);
            assertThat(current.isDone()).isTrue();
            other.makeCurrent();
            other.record(tensor);
            other.synchronize();
            assertThat(other.isDone()).isTrue();
            current.makeCurrent();
        }
    }

    @Test
    void eventIsDoneOnceRecorded() {
        try (Stream stream = Stream.current(Device.CPU);
                Event begin = new Event(Device.CPU, true);
                Event end = new Event(Device.CPU, true)) {
            begin.record(stream);
            end.record(stream);
            stream.await(begin);
            end.synchronize();
            assertThat(end.isDone()).isTrue();
            assertThatThrownBy(() -> begin.millisecondsUntil(end)).isInstanceOf(UnsupportedException.class);
        }
        assertThat(Torch.liveHandles(Torch.Kind.EVENT)).isZero();
    }

    @Test
    void useAfterCloseIsSaid() {
        Stream stream = Stream.current(Device.CPU);
        stream.close();
        stream.close();
        Event event = new Event(Device.CPU, false);
        event.close();
        event.close();
        assertThatThrownBy(stream::isDone)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("Stream");
        assertThatThrownBy(event::isDone)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("Event");
    }

    @Test
    void streamOfADeviceThatIsNotThereIsRefused() {
        Device absent = Device.cuda(Device.count(Device.Type.CUDA));
        assertThatThrownBy(() -> Stream.current(absent)).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> Stream.create(absent)).isInstanceOf(UnsupportedException.class);
        assertThatThrownBy(() -> new Event(absent, false)).isInstanceOf(UnsupportedException.class);
    }
}
