package io.lancetorch.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.lancetorch.bindings.torch.lt_error;
import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.CancelledException;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.DeadlineException;
import io.lancetorch.error.InternalException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.LanceTorchException;
import io.lancetorch.error.NotFoundException;
import io.lancetorch.error.OutOfMemoryException;
import io.lancetorch.error.PeerFailedException;
import io.lancetorch.error.StorageException;
import io.lancetorch.error.UnsupportedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class StatusTest {
    private static final Map<Integer, Class<? extends LanceTorchException>> TYPES = Map.of(
            torch_h.LT_INVALID_ARGUMENT(), InvalidArgumentException.class,
            torch_h.LT_NOT_FOUND(), NotFoundException.class,
            torch_h.LT_IO(), StorageException.class,
            torch_h.LT_CORRUPT_DATA(), CorruptDataException.class,
            torch_h.LT_OUT_OF_MEMORY(), OutOfMemoryException.class,
            torch_h.LT_TIMEOUT(), DeadlineException.class,
            torch_h.LT_PEER_FAILED(), PeerFailedException.class,
            torch_h.LT_CANCELLED(), CancelledException.class,
            torch_h.LT_UNSUPPORTED(), UnsupportedException.class,
            torch_h.LT_INTERNAL(), InternalException.class);

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void free() {
        arena.close();
    }

    private MemorySegment error(int code, int detail, String message) {
        MemorySegment error = arena.allocate(Status.ERROR_SIZE, 8);
        lt_error.code(error, code);
        lt_error.detail(error, detail);
        lt_error.message(error).setString(0, message);
        return error;
    }

    @Test
    void okThrowsNothingWhateverTheErrorHolds() {
        MemorySegment error = error(3, -1, "left over from another call");
        assertThatCode(() -> Status.check(0, error)).doesNotThrowAnyException();
        assertThatCode(() -> Status.check(0, error, "context")).doesNotThrowAnyException();
    }

    @Test
    void eachCodeIsAnExceptionTypeOfItsOwnWithTheMessage() {
        Set<Class<?>> seen = new HashSet<>();
        TYPES.forEach((code, type) -> {
            Throwable thrown = catchThrowable(() -> Status.check(code, error(code, -1, "größer als " + code)));
            assertThat(thrown).isExactlyInstanceOf(type).hasMessage("größer als " + code);
            seen.add(thrown.getClass());
        });
        assertThat(seen).hasSize(10).hasSameSizeAs(LanceTorchException.class.getPermittedSubclasses());
    }

    @Test
    void contextComesBeforeTheMessage() {
        assertThat(catchThrowable(() -> Status.check(2, error(2, -1, "no such tag"), "photos.lance")))
                .isInstanceOf(NotFoundException.class)
                .hasMessage("photos.lance: no such tag");
    }

    @Test
    void corruptDataCarriesTheRow() {
        var thrown = (CorruptDataException) catchThrowable(() -> Status.check(4, error(4, 17, "no image")));
        assertThat(thrown.row()).isEqualTo(17);
    }

    @Test
    void codeThatNoHeaderHasIsInternalAndNamed() {
        assertThat(catchThrowable(() -> Status.check(99, error(99, -1, "?"))))
                .isInstanceOf(InternalException.class)
                .hasMessageContaining("99");
    }

    @Test
    void longestMessageIsReadWhole() {
        String longest = "x".repeat((int) lt_error.message(error(1, 0, "")).byteSize() - 1);
        assertThat(catchThrowable(() -> Status.check(1, error(1, -1, longest)))).hasMessage(longest);
    }
}
