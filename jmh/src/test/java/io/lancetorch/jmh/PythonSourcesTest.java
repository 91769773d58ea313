package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PythonSourcesTest {
    private static final Path SOURCES = Path.of(System.getProperty("lancetorch.root"), "jmh/src/main/python");

    @Test
    void everyScriptCompiles(@TempDir Path folder) throws Exception {
        String program = "import sys\nfor path in sys.argv[1:]:\n    compile(open(path).read(), path, 'exec')\n";
        List<String> command = new ArrayList<>(List.of("python3", "-c", program));
        try (Stream<Path> files = Files.list(SOURCES)) {
            files.filter(file -> file.toString().endsWith(".py"))
                    .map(Path::toString)
                    .forEach(command::add);
        }
        assertThat(command).hasSizeGreaterThan(5);
        Command.logged(folder.resolve("log"), folder, Map.of(), command);
    }

    @Test
    void everyScriptThatACaseRunsAndEveryRequirementIsThere() {
        var settings = new Settings(
                Path.of("."), Path.of("bench"), "images.lance", Path.of("files"), "image", 2, 224, 64, false);
        for (Case benchmark : Case.values()) {
            for (Implementation implementation : benchmark.implementations(settings)) {
                if (implementation instanceof PythonRun run) {
                    assertThat(SOURCES.resolve(run.script())).exists();
                    assertThat(SOURCES.resolve(run.part().requirements)).exists();
                }
            }
        }
    }
}
