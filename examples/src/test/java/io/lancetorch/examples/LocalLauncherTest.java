package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalLauncherTest {
    @TempDir
    private Path folder;

    @Test
    void eachRankGetsTorchrunsVariables() throws Exception {
        String script =
                "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT >" + folder + "/$RANK";
        assertThat(new LocalLauncher(0).run(3, List.of("sh", "-c", script))).isZero();
        String port = Files.readString(folder.resolve("0")).strip().split(" ")[5];
        for (int rank = 0; rank < 3; rank++) {
            assertThat(Files.readString(folder.resolve(Integer.toString(rank))).strip())
                    .isEqualTo(rank + " " + rank + " 3 3 127.0.0.1 " + port);
        }
    }

    @Test
    void whenOneRankFailsTheOthersAreEndedAndItsStatusIsReturned() throws Exception {
        long start = System.nanoTime();
        String script = "if [ $RANK = 1 ]; then exit 7; fi; sleep 60 && touch " + folder + "/survived";
        assertThat(new LocalLauncher(0).run(3, List.of("sh", "-c", script))).isEqualTo(7);
        assertThat((System.nanoTime() - start) / 1e9).isLessThan(50);
        assertThat(folder.resolve("survived")).doesNotExist();
    }

    @Test
    void allRanksAreStartedAnewWhenOneFails() throws Exception {
        String script = "echo $WORLD_SIZE $TORCHELASTIC_MAX_RESTARTS $MASTER_PORT"
                + " >" + folder + "/$TORCHELASTIC_RESTART_COUNT-$RANK;"
                + " [ $RANK = 1 ] || exit 0; exit $((7 - $TORCHELASTIC_RESTART_COUNT))";
        assertThat(new LocalLauncher(2).run(2, List.of("sh", "-c", script))).isEqualTo(5);
        Set<String> ports = new HashSet<>();
        for (int restart = 0; restart <= 2; restart++) {
            String[] first =
                    Files.readString(folder.resolve(restart + "-0")).strip().split(" ");
            assertThat(first).startsWith("2", "2");
            assertThat(Files.readString(folder.resolve(restart + "-1")).strip().split(" "))
                    .isEqualTo(first);
            ports.add(first[2]);
        }
        assertThat(ports).hasSizeGreaterThan(1);
        assertThat(folder.resolve("3-0")).doesNotExist();
    }

    @Test
    void aRunThatSucceedsAfterARestartHasStatusZero() throws Exception {
        assertThat(new LocalLauncher(5).run(2, List.of("sh", "-c", "[ $TORCHELASTIC_RESTART_COUNT = 1 ]")))
                .isZero();
    }

    @Test
    void aCommandThatDoesNotExistIsNamed() {
        assertThatThrownBy(() -> new LocalLauncher(0).run(2, List.of("no-such-command")))
                .isInstanceOf(UserException.class)
                .hasMessageContaining("no-such-command");
    }
}
