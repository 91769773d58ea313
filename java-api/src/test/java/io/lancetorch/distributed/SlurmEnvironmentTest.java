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

class SlurmEnvironmentTest {
    /** What srun sets for the sixth of seven tasks. */
    private static Map<String, String> srun() {
        return new HashMap<>(Map.of(
                "SLURM_JOB_ID", "1234567",
                "SLURM_STEP_ID", "2",
                "SLURM_PROCID", "5",
                "SLURM_LOCALID", "1",
                "SLURM_NODEID", "2",
                "SLURM_NTASKS", "7",
                "SLURM_STEP_NUM_TASKS", "7",
                "SLURM_STEP_TASKS_PER_NODE", "2(x3),1",
                "SLURM_JOB_NODELIST", "node[003-007,9]",
                "SLURM_STEP_NODELIST", "node[004-007]"));
    }

    @Test
    void tasksOfAStepAreRanksThatMeetOnItsFirstNode() {
        assertThat(RankEnvironment.isSet(srun())).isTrue();
        assertThat(RankEnvironment.read(srun()))
                .isEqualTo(new RankEnvironment(5, 1, 7, "node004", 12_000 + (1234567 + 14) % 20_000, false, 0));
        assertThat(RankEnvironment.worldSizeOrOne(srun())).isEqualTo(7);
        assertThat(RankEnvironment.rankOrZero(srun())).isEqualTo(5);
    }

    @Test
    void stepsOfOneJobMeetOnOtherPorts() {
        Map<String, String> next = srun();
        next.put("SLURM_STEP_ID", "3");
        assertThat(RankEnvironment.read(next).masterPort())
                .isNotEqualTo(RankEnvironment.read(srun()).masterPort());
    }

    @Test
    void torchrunsVariablesComeFirst() {
        Map<String, String> both = srun();
        both.putAll(
                Map.of("RANK", "1", "WORLD_SIZE", "2", "MASTER_ADDR", "here", "MASTER_PORT", "1", "LOCAL_RANK", "1"));
        assertThat(RankEnvironment.read(both)).isEqualTo(new RankEnvironment(1, 1, 2, "here", 1, false, 0));
        Map<String, String> place = srun();
        place.putAll(Map.of("MASTER_ADDR", "there", "MASTER_PORT", "29500"));
        assertThat(RankEnvironment.read(place)).isEqualTo(new RankEnvironment(5, 1, 7, "there", 29500, false, 0));
    }

    @Test
    void scriptOfSbatchAndAStepOfOneTaskAreNoRanks() {
        Map<String, String> script = srun();
        script.keySet().removeIf(name -> name.startsWith("SLURM_STEP"));
        assertThat(RankEnvironment.isSet(script)).isFalse();
        Map<String, String> shell = srun();
        shell.put("SLURM_STEP_NUM_TASKS", "1");
        assertThat(RankEnvironment.isSet(shell)).isFalse();
        assertThat(RankEnvironment.localWorldSize(shell)).isEqualTo(1);
    }

    @Test
    void jobThatWasRequeuedCountsItsRestarts() {
        Map<String, String> again = srun();
        again.put("SLURM_RESTART_COUNT", "3");
        assertThat(RankEnvironment.read(again).restartCount()).isEqualTo(3);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "node7; node7",
                "node[003-007,9]; node003",
                "node[9,003-007]; node9",
                "node[12]; node12",
                "gpu-a,gpu-b; gpu-a",
                "gpu-a[1-2],cpu-[3]; gpu-a1",
                "cpu-3,gpu-a[1-2]; cpu-3",
                "rack[1-2]node[01-04]; rack1node01",
                "n[1-2]-ib.cluster; n1-ib.cluster",
                "10.0.0.7; 10.0.0.7"
            })
    void firstNodeOfAListIsFound(String list, String first) {
        Map<String, String> environment = srun();
        environment.put("SLURM_STEP_NODELIST", list);
        assertThat(RankEnvironment.read(environment).masterAddress()).isEqualTo(first);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {"2(x3),1; 2; 2", "2(x3),1; 3; 1", "4; 0; 4", "3,2(x2); 1; 2", "16(x2); 1; 16"})
    void tasksOfThisNodeAreFound(String tasks, String node, int here) {
        Map<String, String> environment = srun();
        environment.put("SLURM_STEP_TASKS_PER_NODE", tasks);
        environment.put("SLURM_NODEID", node);
        assertThat(RankEnvironment.localWorldSize(environment)).isEqualTo(here);
    }

    @Test
    void variablesOfTheJobDoWhereThoseOfTheStepAreMissing() {
        Map<String, String> environment = srun();
        environment.keySet().removeIf(name -> name.startsWith("SLURM_STEP_") && !name.equals("SLURM_STEP_ID"));
        environment.put("SLURM_NTASKS_PER_NODE", "4");
        assertThat(RankEnvironment.localWorldSize(environment)).isEqualTo(4);
        environment.put("SLURM_TASKS_PER_NODE", "2(x4)");
        assertThat(RankEnvironment.localWorldSize(environment)).isEqualTo(2);
        assertThat(RankEnvironment.read(environment).masterAddress()).isEqualTo("node003");
    }

    @ParameterizedTest
    @ValueSource(strings = {"SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE", "SLURM_STEP_NODELIST", "SLURM_JOB_ID"})
    void variableThatIsMissingIsNamed(String name) {
        Map<String, String> environment = srun();
        environment.remove(name);
        environment.remove("SLURM_JOB_NODELIST");
        assertThatThrownBy(() -> RankEnvironment.read(environment))
                .isInstanceOf(NotFoundException.class)
                .hasMessageContaining(name.equals("SLURM_JOB_ID") ? "SLURM_JOBID" : name);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "SLURM_PROCID; x; RANK",
                "SLURM_PROCID; 7; RANK is 7",
                "SLURM_STEP_TASKS_PER_NODE; 2(y3); SLURM_TASKS_PER_NODE",
                "SLURM_NODEID; 4; SLURM_NODEID is 4",
                "SLURM_STEP_NODELIST; [; SLURM_JOB_NODELIST",
                "WORLD_SIZE; 8; WORLD_SIZE is 8, and Slurm started 7 tasks"
            })
    void valueThatCannotBeIsNamed(String name, String value, String message) {
        Map<String, String> environment = srun();
        environment.put(name, value);
        assertThatThrownBy(() -> RankEnvironment.read(environment))
                .isInstanceOf(InvalidArgumentException.class)
                .hasMessageContaining(message);
    }
}
