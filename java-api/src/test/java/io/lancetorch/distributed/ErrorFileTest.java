package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.testing.Python;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ErrorFileTest {
    @TempDir
    private Path folder;

    @Test
    void failureIsWrittenInTorchrunsFormat() throws Exception {
        Path file = folder.resolve("error.json");
        long before = System.currentTimeMillis() / 1000;
        ErrorFile.write(file, new IllegalStateException("a \"quoted\" \\ größe\n\ttab"));
        String text = Files.readString(file);
        assertThat(text)
                .startsWith("{\"message\": {\"message\": \"java.lang.IllegalStateException: a \\\"quoted\\\" \\\\ "
                        + "gr\\u00f6\\u00dfe\\n\\u0009tab\", \"extraInfo\": {\"py_callstack\": \"java.lang.Illegal")
                .containsPattern("ErrorFileTest\\.java:\\d+\\)")
                .doesNotContain("\n")
                .endsWith("\"}}}");
        long timestamp = Long.parseLong(text.replaceAll(".*\"timestamp\": \"(\\d+)\".*", "$1"));
        assertThat(timestamp).isBetween(before, before + 60);
    }

    @Test
    void torchReadsIt() throws Exception {
        Path file = folder.resolve("error.json");
        ErrorFile.write(file, new IllegalStateException("out of cheese"));
        String script = """
                import sys
                from torch.distributed.elastic.multiprocessing.errors import ProcessFailure, ChildFailedError
                failure = ProcessFailure(local_rank=1, pid=5, exitcode=1, error_file=sys.argv[1])
                print(failure.message["message"], failure.timestamp > 0)
                print(ChildFailedError("train", {1: failure}))
                """;
        assertThat(Python.run("torch", script, file))
                .contains("java.lang.IllegalStateException: out of cheese True", "ErrorFileTest.torchReadsIt");
    }
}
