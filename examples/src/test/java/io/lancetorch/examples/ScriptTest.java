package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script at the root, where it decides by itself and before any JVM runs. */
class ScriptTest {
    @TempDir
    private Path folder;

    private static Result run(Map<String, String> environment, String... arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("lancetorch.root"), "lancetorch").toString());
        command.addAll(List.of(arguments));
        return CommandLineRun.run(environment, command);
    }

    /** A JDK whose programs only tell a version. */
    private Path jdk(String version) throws IOException {
        Path bin = Files.createDirectories(folder.resolve("jdk-" + version + "/bin"));
        for (String program : List.of("java", "javac")) {
            Path file = Files.writeString(
                    bin.resolve(program), "#!/bin/sh\necho '    java.version = " + version + "' >&2\n");
            assertThat(file.toFile().setExecutable(true)).isTrue();
        }
        return bin.getParent();
    }

    @Test
    void aJavaOlderThan25IsRefusedWithItsVersionAndPlace() throws Exception {
        Path old = jdk("17.0.15");
        String path = old.resolve("bin") + ":" + System.getenv("PATH");
        Result result =
                run(Map.of("JAVA_HOME", old.toString(), "LANCETORCH_JDKS", folder.toString(), "PATH", path), "train");
        assertThat(result.status()).isEqualTo(1);
        assertThat(result.output())
                .contains("Java 25 or later is needed")
                .contains("17.0.15")
                .contains(old.toString());
    }

    @Test
    void anUnknownCommandIsRefusedWithTheCommandsThatThereAre() throws Exception {
        Result result = run(Map.of(), "trian");
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.output()).contains("no command trian").contains("train  ");
    }

    @Test
    void helpNeedsNothingInstalled() throws Exception {
        Result result = run(Map.of("LANCETORCH_JDKS", folder.toString(), "JAVA_HOME", ""), "help");
        assertThat(result.status()).isZero();
        assertThat(result.output()).contains("create-dataset").contains("bench");
    }
}
