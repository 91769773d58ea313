package io.lancetorch;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.lance.ImageCodec;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import java.io.BufferedReader;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a user sees where the native libraries cannot be opened, at the first call and at every later one. */
class LibraryRefusalTest {
    @TempDir
    private Path empty;

    /** In a JVM without the libraries, tells what each entry into the API throws. */
    public static final class Entries {
        private Entries() {}

        public static void main(String[] arguments) {
            List<Runnable> entries = List.of(
                    () -> Ops.zeros(DType.FLOAT32, 1),
                    () -> Tensor.empty(DType.FLOAT32, 1),
                    () -> LanceDataset.open("none.lance"),
                    () -> ImageCodec.encodeJpeg(new byte[3], 1, 1, 90));
            for (Runnable entry : entries) {
                for (int call = 0; call < 2; call++) {
                    try {
                        entry.run();
                        System.out.println("nothing");
                    } catch (Throwable e) {
                        System.out.println(e);
                    }
                }
            }
        }
    }

    @Test
    void everyCallThrowsTheTypedExceptionThatNamesTheFolder() throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dlancetorch.native=" + empty,
                        "-classpath",
                        System.getProperty("java.class.path"),
                        Entries.class.getName())
                .start();
        try (BufferedReader reader = process.inputReader()) {
            assertThat(reader.lines().toList()).hasSize(8).allSatisfy(line -> assertThat(line)
                    .startsWith("io.lancetorch.error.NotFoundException")
                    .contains(empty.toString())
                    .contains("./lancetorch build"));
        }
        assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
    }
}
