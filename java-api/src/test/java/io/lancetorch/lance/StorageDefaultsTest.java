package io.lancetorch.lance;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StorageDefaultsTest {
    @ParameterizedTest
    @ValueSource(strings = {"data.lance", "/a/data.lance", "file:///a/data.lance", "memory://data"})
    void filesOfThisMachineHaveNone(String uri) {
        assertThat(StorageDefaults.with(uri, Map.of(), false)).isEmpty();
        assertThat(StorageDefaults.with(uri, Map.of("region", "x"), true)).containsExactly(Map.entry("region", "x"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"s3://bucket/data.lance", "S3://bucket/data.lance", "gs://bucket/a", "s3+ddb://bucket/a"})
    void objectStoresHaveThemBesideWhatTheUserSays(String uri) {
        assertThat(StorageDefaults.with(uri, Map.of("region", "x"), false))
                .hasSize(7)
                .containsEntry("region", "x")
                .containsEntry("read_timeout", "10s")
                .containsEntry("client_retry_timeout", "3");
        assertThat(StorageDefaults.with(uri, Map.of(), true))
                .hasSize(6)
                .containsEntry("read_timeout", "30s")
                .containsEntry("client_retry_timeout", "10")
                .containsEntry("connect_timeout", "5s");
    }

    @Test
    void whatTheUserSaysInAnySpellingThatLanceKnowsCounts() {
        Map<String, String> said = Map.of(
                "aws_read_timeout", "1m", "Timeout", "9s", "CLIENT_MAX_RETRIES", "2", "client_retry_timeout", "8");
        assertThat(StorageDefaults.with("s3://bucket/data.lance", said, false))
                .containsAllEntriesOf(said)
                .containsOnlyKeys(
                        "aws_read_timeout",
                        "Timeout",
                        "CLIENT_MAX_RETRIES",
                        "client_retry_timeout",
                        "connect_timeout",
                        "lance_aimd_max_retries");
    }
}
