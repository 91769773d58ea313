package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchTest {
    private final ByteArrayOutputStream messages = new ByteArrayOutputStream();

    private int run(String... arguments) {
        return Bench.run(new PrintStream(messages, true, StandardCharsets.UTF_8), arguments);
    }

    @Test
    void anUnknownCaseIsRefusedWithTheNamesOfThoseThatThereAre() {
        assertThat(run("decode", "sort")).isEqualTo(2);
        assertThat(messages.toString(StandardCharsets.UTF_8))
                .contains("no benchmark sort: there are op, scan and decode");
    }

    @Test
    void aFolderOfPhotosThatIsNotThereIsRefused(@TempDir Path folder) {
        String missing = folder.resolve("photos").toString();
        assertThat(run("decode", "--photos", missing)).isEqualTo(2);
        assertThat(messages.toString(StandardCharsets.UTF_8)).contains(missing);
    }

    @Test
    void aFolderWithTooFewPhotosIsAnErrorThatNamesIt(@TempDir Path folder) throws Exception {
        Path photos = Files.createDirectory(folder.resolve("photos"));
        assertThat(run("decode", "--dir", folder.resolve("bench").toString(), "--photos", photos.toString()))
                .isEqualTo(1);
        assertThat(messages.toString(StandardCharsets.UTF_8))
                .contains("0 photographs")
                .contains(photos.toString());
    }

    @Test
    void everyImplementationIsABenchmarkMethod() {
        for (Case benchmark : Case.values()) {
            List<String> methods = Arrays.stream(benchmark.benchmark.getMethods())
                    .filter(method -> method.isAnnotationPresent(org.openjdk.jmh.annotations.Benchmark.class))
                    .map(java.lang.reflect.Method::getName)
                    .toList();
            assertThat(benchmark.implementations)
                    .extracting(Case.Implementation::method)
                    .containsAll(methods)
                    .isSubsetOf(methods);
        }
    }
}
