package io.lancetorch;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.tensor.Tensor;
import java.io.InputStream;
import java.lang.module.ModuleDescriptor;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class ModuleTest {
    private static ModuleDescriptor module() throws Exception {
        Path classes = Path.of(
                Tensor.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        try (InputStream stream = Files.newInputStream(classes.resolve("module-info.class"))) {
            return ModuleDescriptor.read(stream);
        }
    }

    @Test
    void fivePackagesAreExportedToAll() throws Exception {
        assertThat(module().name()).isEqualTo("io.lancetorch");
        assertThat(module().exports())
                .allMatch(export -> !export.isQualified())
                .extracting(ModuleDescriptor.Exports::source)
                .containsExactlyInAnyOrder(
                        "io.lancetorch.checkpoint",
                        "io.lancetorch.tensor",
                        "io.lancetorch.lance",
                        "io.lancetorch.data",
                        "io.lancetorch.distributed");
    }

    @Test
    void nothingIsOpenForReflection() throws Exception {
        assertThat(module().isOpen()).isFalse();
        assertThat(module().opens()).isEmpty();
    }
}
