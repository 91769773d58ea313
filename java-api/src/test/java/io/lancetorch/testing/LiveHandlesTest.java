package io.lancetorch.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.tensor.Tensor;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.extension.Extension;

/** The check that every class is under must itself be found, and be able to fail. */
class LiveHandlesTest {
    @Test
    void extensionIsFoundByJUnit() {
        assertThat(ServiceLoader.load(Extension.class)).hasAtLeastOneElementOfType(LiveHandles.class);
    }

    @Test
    void tensorThatIsLeftIsCounted(TestInfo info) {
        assertThat(LiveHandles.alive()).isEmpty();
        try (var _ = Tensor.of(new float[] {1})) {
            assertThat(LiveHandles.alive()).containsEntry("torch TENSOR", 1L);
            assertThatThrownBy(() -> assertThat(LiveHandles.alive()).isEmpty()).isInstanceOf(AssertionError.class);
        }
        assertThat(LiveHandles.alive()).isEmpty();
    }
}
