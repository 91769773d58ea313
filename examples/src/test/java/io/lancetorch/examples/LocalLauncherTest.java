package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalLauncherTest {
    @TempDir
    private Path folder;

    @Test
    void eachRankGetsTorchrunsVariables() throws Exception {
        String script =
                "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $MASTER_PORT >" + folder + "/$RANK";
        assertThat(new LocalLauncher().run(3, List.of("sh", "-c", script))).isZero();
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
        assertThat(new LocalLauncher().run(3, List.of("sh", "-c", script))).isEqualTo(7);
        assertThat((System.nanoTime() - start) / 1e9).isLessThan(50);
        assertThat(folder.resolve("survived")).doesNotExist();
    }

    @Test
    void aCommandThatDoesNotExistIsNamed() {
        assertThatThrownBy(() -> new LocalLauncher().run(2, List.of("no-such-command")))
                .isInstanceOf(UserException.class)
                .hasMessageContaining("no-such-command");
    }
}
