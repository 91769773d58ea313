package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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

    @Test
    void launchersOfSeveralMachinesMakeOneWorldAndCountPortsByRestart() throws Exception {
        String script = "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $GROUP_RANK $MASTER_ADDR $MASTER_PORT >"
                + folder + "/$TORCHELASTIC_RESTART_COUNT-$RANK; exit $((1 - $TORCHELASTIC_RESTART_COUNT))";
        for (int node = 0; node < 2; node++) {
            assertThat(new LocalLauncher(1, new Node(node, 2, "head", 4000)).run(2, List.of("sh", "-c", script)))
                    .isZero();
        }
        for (int rank = 0; rank < 4; rank++) {
            String variables = rank + " " + rank % 2 + " 4 2 " + rank / 2 + " head ";
            assertThat(folder.resolve("0-" + rank)).hasContent(variables + 4000);
            assertThat(folder.resolve("1-" + rank)).hasContent(variables + 4001);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "--nnodes=2, needs --master-addr",
        "--nnodes=2 --node-rank=2 --master-addr=head, --node-rank must be 0 to 1",
        "--nnodes=1:2, no range",
        "--nnodes=2 --master-addr=head --master-port=65535 --max-restarts=1, --master-port must be 1 to 65534",
        "--nproc-per-node=many, 'or gpu, cpu or auto; it is \"many\"'",
        "--nproc-per-node=0, from 1 on",
    })
    void optionsThatDoNotFitAreRefusedBeforeAnythingStarts(String options, String said) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("launch"));
        arguments.addAll(List.of(options.split(" ")));
        arguments.addAll(List.of("--", "touch", folder.resolve("started").toString()));
        var result = CommandLineRun.run(arguments.toArray(String[]::new));
        assertThat(result.status()).as(result.output()).isEqualTo(2);
        assertThat(result.output()).contains(said);
        assertThat(folder.resolve("started")).doesNotExist();
    }

    @Test
    void variablesOfTorchrunStandForOptions() throws Exception {
        var result = CommandLineRun.run(
                Map.of(
                        "PET_NNODES", "2",
                        "PET_NODE_RANK", "1",
                        "PET_NPROC_PER_NODE", "1",
                        "PET_MASTER_ADDR", "head",
                        "PET_MASTER_PORT", "4000",
                        "RANK", "1",
                        "WORLD_SIZE", "4"),
                "launch",
                "--",
                "sh",
                "-c",
                "echo $RANK of $WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT");
        assertThat(result.output()).contains("1 of 2 at head:4000");
    }
}
