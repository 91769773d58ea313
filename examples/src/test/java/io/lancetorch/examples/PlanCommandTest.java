package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Epochs that are planned, and not read. */
class PlanCommandTest {
    @TempDir
    private java.nio.file.Path folder;

    /** 1,000,000,000 / 1,024 rows a rank; the heap is what a rank may need. */
    @ParameterizedTest
    @CsvSource({
        "random, '976,563', 'differ by 1 rows at most, less than'",
        "sharded_batch, '976,576', 'differ by 64 rows'"
    })
    void aBillionRowsAreDealtTo1024RanksWithinAHeapOf100MegabytesEach(String sampler, String rows, String difference)
            throws Exception {
        Result result = CommandLineRun.run(
                Map.of("JAVA_TOOL_OPTIONS", "-Xmx100m"), "plan", "--rows=1e9", "--fragments=1e5", "--sampler", sampler);
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output())
                .contains("1,000,000,000 rows in 100,000 fragments, 1,024 ranks")
                .contains(difference)
                .contains("the same steps: yes");
        assertThat(Pattern.compile("(?m)^ +[0-9,]+ +15,259 +" + rows + " ")
                        .matcher(result.output())
                        .results())
                .hasSize(5);
    }

    @Test
    void theFragmentsOfADatasetAreDealtToEachRank() throws Exception {
        String dataset = folder.resolve("shapes.lance").toString();
        assertThat(CommandLineRun.run("create-dataset", "--images=100", "--fragment-size=30", dataset)
                        .status())
                .isZero();
        Result result = CommandLineRun.run(
                "plan", "--ranks=7", "--batch-size=4", "--sampler=sharded-fragment", "--all-ranks", dataset);
        assertThat(result.status()).as(result.output()).isZero();
        // Three ranks have nothing of their own, and so no rows to repeat either.
        assertThat(result.output()).contains("100 rows in 4 fragments, 7 ranks").contains("differ by 30 rows");
    }

    @Test
    void aCountThatIsNoneIsRefused() throws Exception {
        Result result = CommandLineRun.run("plan", "--rows=1.5");
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.output()).contains("'1.5' is no whole number");
    }
}
