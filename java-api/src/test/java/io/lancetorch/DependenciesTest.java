package io.lancetorch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What who depends on lancetorch gets with it. The tests' class path has all of that, and the tests' own tools beside it. */
class DependenciesTest {
    private static String[] jarsIn(String folders) {
        return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> entry.replace(File.separatorChar, '/').contains(folders))
                .map(entry -> Path.of(entry).getFileName().toString().replaceAll("-[0-9][0-9.-]*[0-9]", ""))
                .toArray(String[]::new);
    }

    @Test
    void ofThePresetsOnlyTheNativeLibrariesComeWithIt() {
        assertThat(jarsIn("/org/bytedeco/"))
                .containsExactlyInAnyOrder("javacpp.jar", "pytorch-linux-x86_64.jar", "openblas-linux-x86_64.jar");
    }

    @Test
    void arrowJavaDoesNotComeWithIt() {
        assertThat(jarsIn("/org/apache/arrow/")).isEmpty();
    }
}
