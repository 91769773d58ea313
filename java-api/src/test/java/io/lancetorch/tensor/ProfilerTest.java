package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.StorageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProfilerTest {
    @TempDir
    private Path folder;

    @Test
    void traceNamesTheOperatorsOfForwardAndBackward() throws IOException {
        Path trace = folder.resolve("trace.json");
        try (var _ = new TensorScope();
                var profiler = Profiler.start()) {
            Tensor weight = Ops.ones(DType.FLOAT32, 3, 4).requiresGrad(true);
            Ops.sum(Ops.linear(Ops.ones(DType.FLOAT32, 2, 4), weight, null)).backward();
            profiler.save(trace);
            assertThatThrownBy(() -> profiler.save(trace)).isInstanceOf(IllegalStateException.class);
        }
        assertThat(Files.readString(trace).strip())
                .startsWith("{")
                .endsWith("}")
                .contains("\"traceEvents\"")
                .contains("\"aten::linear\"")
                .contains("SumBackward");
    }

    @Test
    void oneRunsAtATimeAndWhatCannotBeWrittenIsSaid() {
        try (var profiler = Profiler.start()) {
            assertThatThrownBy(Profiler::start)
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("running");
            assertThatThrownBy(() -> profiler.save(folder.resolve("no/such/folder/trace.json")))
                    .isInstanceOf(StorageException.class)
                    .hasMessageContaining("no/such/folder");
        }
        Profiler.start().close();
    }
}
