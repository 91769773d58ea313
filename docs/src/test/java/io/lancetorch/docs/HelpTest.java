package io.lancetorch.docs;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.docs.Shell.Result;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code ./lancetorch help COMMAND}, for each command that there is. */
class HelpTest {
    private static final Pattern COMMAND = Pattern.compile("(?m)^  ([a-z][a-z-]+) +(?:\\[|\\S)");
    private static final String ESCAPE = "\u001b[";

    static List<String> commands() throws Exception {
        Result help = Shell.run(Documents.ROOT, Map.of(), "./lancetorch help");
        assertThat(help.status()).as(help.output()).isZero();
        return COMMAND.matcher(help.output())
                .results()
                .map(found -> found.group(1))
                .toList();
    }

    @Test
    void theCommandsOfTheScriptAndOfJavaAreListed() throws Exception {
        assertThat(commands()).contains("build", "create-dataset", "train", "launch", "plan", "test", "bench", "site");
        assertThat(commands()).contains("completion", "help").doesNotHaveDuplicates();
    }

    @ParameterizedTest
    @MethodSource("commands")
    void hasTheSectionsOfAManPage(String command) throws Exception {
        Result help = Shell.run(Documents.ROOT, Map.of(), "./lancetorch help " + command);
        assertThat(help.status()).as(help.output()).isZero();
        assertThat(help.output())
                .containsSubsequence("Synopsis", command, "Description", "Exit status", "Examples", "Environment");
        if (!command.equals("help")) {
            assertThat(help.output()).contains("Options");
        }
    }

    /** Its examples are parsed by the command itself. */
    @ParameterizedTest
    @MethodSource("commands")
    void showsExamplesThatItUnderstands(String command) throws Exception {
        String help = Shell.run(Documents.ROOT, Map.of(), "./lancetorch help " + command)
                .output();
        List<String> examples = help.substring(help.indexOf("Examples"), help.indexOf("Environment"))
                .lines()
                .filter(line -> line.contains("./lancetorch "))
                .map(line -> line.substring(line.indexOf("./lancetorch")).replaceAll("[)]$", ""))
                .toList();
        assertThat(examples).isNotEmpty();
        for (String example : examples) {
            Result parsed = Shell.run(
                    Documents.ROOT, Map.of("LANCETORCH_PARSE_ONLY", "1"), example.replaceFirst(" -- .*", " -- true"));
            assertThat(parsed.status()).as(example + "\n" + parsed.output()).isIn(0, 3);
        }
    }

    @Test
    void ofNoCommandIsAWrongUse() throws Exception {
        assertThat(Shell.run(Documents.ROOT, Map.of(), "./lancetorch help trian")
                        .status())
                .isEqualTo(2);
    }

    @Test
    void isColouredOnlyWhereTheTerminalShowsColours() throws Exception {
        String onTerminal = "script -qec './lancetorch help plan' /dev/null";
        assertThat(Shell.run(Documents.ROOT, Map.of("TERM", "xterm"), onTerminal)
                        .output())
                .contains("Synopsis", ESCAPE);
        assertThat(Shell.run(Documents.ROOT, Map.of("TERM", "dumb"), onTerminal).output())
                .contains("Synopsis")
                .doesNotContain(ESCAPE);
        assertThat(Shell.run(Documents.ROOT, Map.of("TERM", "xterm", "NO_COLOR", "1"), onTerminal)
                        .output())
                .contains("Synopsis")
                .doesNotContain(ESCAPE);
        assertThat(Shell.run(Documents.ROOT, Map.of("TERM", "xterm"), "./lancetorch help plan")
                        .output())
                .contains("Synopsis")
                .doesNotContain(ESCAPE);
    }
}
