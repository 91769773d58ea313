package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.lancetorch.error.StorageException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class EpochMetricsTest {
    @Test
    void fullDiskIsNamed() {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "skipped: no /dev/full, which takes nothing");
        var metrics = new EpochMetrics(3, 0.5, 1, 10, 0, null, 0, 1, 10, 1);
        assertThatThrownBy(() -> metrics.append(full))
                .isInstanceOf(StorageException.class)
                .hasMessageContainingAll("/dev/full", "epoch 3");
    }
}
