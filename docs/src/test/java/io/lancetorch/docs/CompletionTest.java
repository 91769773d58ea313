package io.lancetorch.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What bash proposes after {@code source <(./lancetorch completion)}. */
class CompletionTest {
    @TempDir
    private static Path folder;

    private static Path script;

    @BeforeAll
    static void printScript() throws Exception {
        script = folder.resolve("completion");
        Shell.Result printed = Shell.run(Documents.ROOT, Map.of(), "./lancetorch completion > '" + script + "'");
        assertThat(printed.status()).as(printed.output()).isZero();
    }

    private static List<String> proposals(String... words) throws Exception {
        String quoted = Stream.of(words).map(word -> "'" + word + "'").collect(Collectors.joining(" "));
        String bash = "source '" + script + "'\nCOMP_WORDS=(./lancetorch " + quoted + "); COMP_CWORD=" + words.length
                + "\nfunction_of=$(complete -p lancetorch | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
                + "\n\"$function_of\" lancetorch \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\""
                + "\nprintf '%s\\n' \"${COMPREPLY[@]}\"";
        Shell.Result result = Shell.run(folder, Map.of(), bash);
        assertThat(result.status()).as(result.output()).isZero();
        return result.output()
                .lines()
                .map(String::strip)
                .filter(line -> !line.isEmpty())
                .toList();
    }

    @ParameterizedTest
    @CsvSource({
        "trai, train",
        "tes, test",
        "bui, build",
        "cre, create-dataset",
        "ben, bench",
        "sit, site",
        "com, completion",
        "train --checkpoint-, --checkpoint-every",
        "train --sampler sharded_f, sharded_fragment",
        "plan --all, --all-ranks",
        "create-dataset --frag, --fragment-size",
        "launch --nproc, --nproc-per-node",
        "test --so, --soak",
        "build --lib, --libtorch",
        "bench --with, --with-python",
        "bench soak --batche, --batches"
    })
    void completes(String typed, String expected) throws Exception {
        assertThat(proposals(typed.split(" "))).containsExactly(expected);
    }

    @Test
    void nothingIsProposedForWhatThereIsNot() throws Exception {
        assertThat(proposals("trian")).isEmpty();
        assertThat(proposals("train", "--soak")).isEmpty();
    }

    /** Where the function proposes nothing, the shell completes names of files. */
    @Test
    void pathsOfDatasetsAreLeftToTheShell() throws Exception {
        assertThat(proposals("train", "photos.l")).isEmpty();
        assertThat(Files.readString(script)).contains("-o default lancetorch").doesNotContain("compopt +o");
    }

    @Test
    void theScriptIsOneForZshToo() throws Exception {
        assertThat(Files.readString(script)).contains("bashcompinit");
    }
}
