package io.lancetorch.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.UnsupportedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlatformTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({
        "Linux, amd64, linux-x86_64, liblancetorch_torch.so, true",
        "Linux, aarch64, linux-arm64, liblancetorch_torch.so, false",
        "Mac OS X, aarch64, macosx-arm64, liblancetorch_torch.dylib, true"
    })
    void librariesAreNamedAsEachPlatformNamesThem(
            String os, String arch, String classifier, String file, boolean presets) {
        Platform platform = Platform.of(os, arch);
        assertThat(platform.classifier()).isEqualTo(classifier);
        assertThat(platform.file("lancetorch_torch")).isEqualTo(file);
        assertThat(platform.hasPresets()).isEqualTo(presets);
        assertThat(platform.pytorch()).allMatch(name -> name.contains(platform.suffix()));
        assertThat(platform.openblas()).allMatch(name -> name.contains(platform.suffix()));
    }

    @Test
    void thisMachineIsNamedAsJavaCppNamesIt() {
        assertThat(Platform.current().classifier()).isEqualTo(Loader.getPlatform());
        assertThat(Platform.current().file("x")).isEqualTo(System.mapLibraryName("x"));
    }

    @ParameterizedTest
    @CsvSource({"Windows 11, amd64", "Mac OS X, x86_64", "Linux, riscv64", "FreeBSD, amd64"})
    void anotherPlatformIsNamedWithThoseThatThereAre(String os, String arch) {
        assertThatThrownBy(() -> Platform.of(os, arch))
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll(os, arch, "linux-x86_64", "linux-arm64", "macosx-arm64", "WSL");
    }

    @Test
    void aLinuxWithMuslAloneIsToldByItsLoader() throws IOException {
        Path lib = Files.createDirectory(folder.resolve("lib"));
        assertThat(Platform.isMusl(lib)).isFalse();
        Files.createFile(lib.resolve("ld-musl-x86_64.so.1"));
        assertThat(Platform.isMusl(lib)).isTrue();
        Path lib64 = Files.createDirectory(folder.resolve("lib64"));
        Files.createFile(lib64.resolve("ld-linux-x86-64.so.2"));
        assertThat(Platform.isMusl(lib)).as("both are installed").isFalse();
    }
}
