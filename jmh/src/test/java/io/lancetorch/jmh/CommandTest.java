package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class CommandTest {
    @Test
    void linesComeWithTheSecondsSinceTheStart(@TempDir Path folder) throws Exception {
        List<Command.Line> lines = Command.lines(
                folder.resolve("log"), folder, Map.of("WORD", "two"), List.of("sh", "-c", "echo one; echo $WORD"));
        assertThat(lines).extracting(Command.Line::text).containsExactly("one", "two");
        assertThat(lines.getFirst().seconds())
                .isPositive()
                .isLessThanOrEqualTo(lines.getLast().seconds());
    }

    @Test
    void aProgramThatFailsSaysItsReason(@TempDir Path folder) {
        Path log = folder.resolve("log");
        List<String> command = List.of("sh", "-c", "echo begun >&2; echo ERROR: no turbo >&2; echo at bye >&2; exit 3");
        assertThatThrownBy(() -> Command.lines(log, folder, Map.of(), command))
                .isInstanceOf(Unavailable.class)
                .hasMessageContaining("status 3")
                .hasMessageContaining("ERROR: no turbo")
                .hasMessageContaining(log.toString());
    }

    @Test
    @Timeout(30)
    void aProgramIsEndedAtItsFirstLine(@TempDir Path folder) throws Exception {
        List<String> command = List.of("sh", "-c", "echo one; sleep 600; echo two");
        assertThat(Command.firstLine(folder.resolve("log"), folder, Map.of(), command)
                        .text())
                .isEqualTo("one");
        assertThatThrownBy(() -> Command.firstLine(folder.resolve("log"), folder, Map.of(), List.of("true")))
                .isInstanceOf(Unavailable.class)
                .hasMessageContaining("true printed nothing");
    }

    @Test
    void aProgramThatIsNotThereIsNamed(@TempDir Path folder) {
        List<String> command = List.of("no-such-program-here");
        assertThatThrownBy(() -> Command.logged(folder.resolve("log"), folder, Map.of(), command))
                .isInstanceOf(Unavailable.class)
                .hasMessageContaining("no-such-program-here");
    }
}
