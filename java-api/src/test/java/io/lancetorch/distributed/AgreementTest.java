package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class AgreementTest {
    private static final Duration LATER = Duration.ofSeconds(20);

    @Test
    void ranksThatAgreeGoOn() throws Exception {
        Ranks.run(3, Boolean.class, group -> {
            Agreement.check(group, Map.of("seed", "7", "dataset", "größe.lance"));
            Agreement.check(group, Map.of());
            group.barrier();
            return true;
        });
    }

    @Test
    void everyRankLearnsWhoDiffersInWhat() throws Exception {
        List<Object> outcomes = Ranks.outcomes(3, LATER, group -> {
            Map<String, String> values = new HashMap<>(Map.of("seed", "7", "batch size", "64"));
            if (group.rank() == 2) {
                values.put("seed", "8");
                values.put("only here", "x".repeat(1000));
            }
            Agreement.check(group, values);
            return null;
        });
        assertThat(outcomes).hasSize(3).allSatisfy(outcome -> assertThat(outcome)
                .isInstanceOf(InvalidArgumentException.class)
                .asInstanceOf(org.assertj.core.api.InstanceOfAssertFactories.THROWABLE)
                .hasMessageContainingAll(
                        "seed is \"8\" on rank 2 and \"7\" on rank 0", "only here is \"xxx", "not given on rank 0")
                .hasMessageNotContaining("batch size")
                .hasMessageNotContaining("rank 1"));
    }

    @Test
    void ranksThatDifferInTheirWorldSizeAreRefused() throws Exception {
        try (Store server = Store.tcp("127.0.0.1", 0, true, 2, LATER);
                Store client = Store.tcp("127.0.0.1", server.port(), false, 2, LATER)) {
            Thread other = Thread.ofPlatform()
                    .start(() -> assertThatThrownBy(() -> ProcessGroup.gloo(client, 1, 3, "127.0.0.1", LATER))
                            .isInstanceOf(InvalidArgumentException.class)
                            .hasMessageContaining("world size of 3"));
            assertThatThrownBy(() -> ProcessGroup.gloo(server, 0, 2, "127.0.0.1", LATER))
                    .isInstanceOf(InvalidArgumentException.class)
                    .hasMessageContaining("rank 1 has a world size of 3, and rank 0 of 2");
            other.join();
        }
    }
}
