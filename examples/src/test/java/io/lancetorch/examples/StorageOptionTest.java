package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.examples.CommandLineRun.Result;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Options for the object store on the command line, by a store that is not there: its address shows that they reached it. */
class StorageOptionTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "create-dataset --images 10 s3://bucket/drawings.lance",
                "plan s3://bucket/drawings.lance",
                "inspect s3://bucket/drawings.lance",
                "train --no-ddp s3://bucket/drawings.lance",
                "train --nproc-per-node 1 s3://bucket/drawings.lance"
            })
    void theyReachTheStore(String command) throws Exception {
        List<String> arguments = new ArrayList<>(List.of(command.split(" ")));
        for (String option : List.of(
                "endpoint=http://127.0.0.1:1",
                "allow_http=true",
                "region=us-east-1",
                "access_key_id=someone",
                "secret_access_key=with=signs=",
                "client_max_retries=0")) {
            arguments.addAll(List.of("--storage-option", option));
        }
        Result result = CommandLineRun.run(arguments.toArray(String[]::new));
        assertThat(result.status()).as(result.output()).isEqualTo(1);
        assertThat(result.output())
                .contains("lancetorch: ")
                .contains("s3://bucket/drawings.lance")
                .contains("http://127.0.0.1:1/bucket")
                .contains("Connection refused")
                .doesNotContain("with=signs=")
                .doesNotContain("\tat ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"create-dataset s3://bucket/a.lance", "train s3://bucket/a.lance"})
    void oneWithoutAValueIsAWrongUse(String command) throws Exception {
        Result result = CommandLineRun.run((command + " --storage-option region").split(" "));
        assertThat(result.status()).as(result.output()).isEqualTo(2);
        assertThat(result.output()).contains("--storage-option", "KEY=VALUE");
    }
}
