package io.lancetorch.distributed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RankEnvironmentTest {
    private static Map<String, String> torchrun() {
        return new HashMap<>(Map.of(
                "RANK", "3",
                "LOCAL_RANK", "1",
                "WORLD_SIZE", "4",
                "MASTER_ADDR", "node0",
                "MASTER_PORT", "29500",
                "TORCHELASTIC_USE_AGENT_STORE", "True",
                "TORCHELASTIC_RESTART_COUNT", "2"));
    }

    @Test
    void torchrunsVariablesAreRead() {
        assertThat(RankEnvironment.read(torchrun())).isEqualTo(new RankEnvironment(3, 1, 4, "node0", 29500, true, 2));
        assertThat(RankEnvironment.isSet(torchrun())).isTrue();
        assertThat(RankEnvironment.isSet(Map.of())).isFalse();
    }

    @Test
    void localRankIsTheRankAndRankZeroServesWhereNothingElseIsSaid() {
        Map<String, String> plain = torchrun();
        plain.keySet().removeIf(name -> name.startsWith("TORCHELASTIC") || name.equals("LOCAL_RANK"));
        assertThat(RankEnvironment.read(plain)).isEqualTo(new RankEnvironment(3, 3, 4, "node0", 29500, false, 0));
    }

    @ParameterizedTest
    @ValueSource(strings = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
    void variableThatIsMissingOrEmptyIsNamed(String name) {
        Map<String, String> environment = torchrun();
        environment.remove(name);
        assertThatThrownBy(() -> RankEnvironment.read(environment))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(name + " is not set");
        environment.put(name, "");
        assertThatThrownBy(() -> RankEnvironment.read(environment))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(name);
    }

    @ParameterizedTest
    @CsvSource({
        "RANK, -1",
        "RANK, two",
        "RANK, 1.5",
        "WORLD_SIZE, 0",
        "WORLD_SIZE, 99999999999",
        "MASTER_PORT, 0",
        "MASTER_PORT, 65536",
        "LOCAL_RANK, x",
        "TORCHELASTIC_RESTART_COUNT, -2"
    })
    void valueThatCannotBeIsNamedWithItsVariable(String name, String value) {
        Map<String, String> environment = torchrun();
        environment.put(name, value);
        assertThatThrownBy(() -> RankEnvironment.read(environment))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll(name, "\"" + value + "\"");
    }

    @ParameterizedTest
    @ValueSource(strings = {"4", "5"})
    void rankBeyondTheWorldIsNamed(String rank) {
        Map<String, String> environment = torchrun();
        environment.put("RANK", rank);
        assertThatThrownBy(() -> RankEnvironment.read(environment))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContainingAll("RANK is " + rank, "WORLD_SIZE is 4");
    }

    @Test
    void rankAndWorldSizeAreFoundWithoutTheRest() {
        assertThat(RankEnvironment.rankOrZero(Map.of())).isZero();
        assertThat(RankEnvironment.worldSizeOrOne(Map.of("WORLD_SIZE", "4")))
                .as("RANK is not set")
                .isEqualTo(1);
        Map<String, String> third = Map.of("RANK", "2", "WORLD_SIZE", "4");
        assertThat(RankEnvironment.rankOrZero(third)).isEqualTo(2);
        assertThat(RankEnvironment.worldSizeOrOne(third)).isEqualTo(4);
        assertThatThrownBy(() -> RankEnvironment.rankOrZero(Map.of("RANK", "4", "WORLD_SIZE", "4")))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining("RANK");
    }
}
