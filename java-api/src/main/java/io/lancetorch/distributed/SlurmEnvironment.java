package io.lancetorch.distributed;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Who a task of {@code srun} is among the ranks, in torchrun's variables, from
 * <a href="https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES">Slurm's</a>. The variables of the step
 * come before those of the job, which may be larger.
 */
final class SlurmEnvironment {
    private static final int FIRST_PORT = 12_000;
    private static final int PORTS = 20_000; // below those that Linux gives to connections

    // "2(x3),1": 2, 2, 2 and 1 tasks.
    private static final Pattern TASKS = Pattern.compile("(\\d{1,9})(?:\\(x(\\d{1,9})\\))?");
    // Of "node[003-007,9],other", what belongs to the first name; and of its brackets, the first number.
    private static final Pattern FIRST_NAME = Pattern.compile("(?:[^\\[\\],]|\\[[^\\[\\]]+\\])+");
    private static final Pattern BRACKETS = Pattern.compile("\\[([^\\],-]+)[^\\]]*\\]");

    private SlurmEnvironment() {}

    /**
     * Whether this process is one of several tasks of a step, and nobody has set RANK. A script of sbatch and a shell of srun
     * are tasks by themselves, and no ranks.
     */
    static boolean isSet(Map<String, String> environment) {
        return !environment.containsKey("RANK")
                && environment.containsKey("SLURM_STEP_ID")
                && environment.containsKey("SLURM_PROCID")
                && !"1".equals(first(environment, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"));
    }

    /** The environment with torchrun's variables, where Slurm alone has said who this process is. */
    static Map<String, String> withTorchruns(Map<String, String> environment) {
        if (!isSet(environment)) {
            return environment;
        }
        Map<String, String> torchruns = new HashMap<>(environment);
        String tasks = required(environment, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS");
        String worldSize = environment.get("WORLD_SIZE");
        if (worldSize != null && !worldSize.strip().equals(tasks.strip())) {
            throw new InvalidArgumentException("WORLD_SIZE is " + worldSize + ", and Slurm started " + tasks
                    + " tasks: unset WORLD_SIZE, or set RANK beside it for each process");
        }
        torchruns.put("RANK", environment.get("SLURM_PROCID"));
        torchruns.put("WORLD_SIZE", tasks);
        torchruns.put("LOCAL_RANK", required(environment, "SLURM_LOCALID"));
        torchruns.put("LOCAL_WORLD_SIZE", Integer.toString(localTasks(environment)));
        if (!environment.containsKey("MASTER_ADDR")) {
            torchruns.put("MASTER_ADDR", firstNode(environment));
        }
        if (!environment.containsKey("MASTER_PORT")) {
            torchruns.put("MASTER_PORT", Integer.toString(port(environment)));
        }
        String restarts = environment.get("SLURM_RESTART_COUNT");
        if (restarts != null) {
            torchruns.putIfAbsent("TORCHELASTIC_RESTART_COUNT", restarts);
        }
        return torchruns;
    }

    private static String first(Map<String, String> environment, String... names) {
        for (String name : names) {
            String value = environment.get(name);
            if (value != null && !value.isBlank()) {
                return value;
            }
        }
        return null;
    }

    private static String required(Map<String, String> environment, String... names) {
        String value = first(environment, names);
        if (value == null) {
            throw new NotFoundException(
                    "Slurm set SLURM_PROCID, and not " + String.join(" or ", names)
                            + ": start the ranks with srun, or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for each of them");
        }
        return value;
    }

    /** The tasks on this node. */
    private static int localTasks(Map<String, String> environment) {
        String each = first(environment, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE");
        if (each == null) {
            String name = "SLURM_NTASKS_PER_NODE";
            return RankEnvironment.number(
                    Map.of(name, required(environment, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE", name)),
                    name,
                    1,
                    Integer.MAX_VALUE);
        }
        int node = environment.containsKey("SLURM_NODEID")
                ? RankEnvironment.number(environment, "SLURM_NODEID", 0, Integer.MAX_VALUE)
                : 0;
        long before = 0;
        for (String part : each.split(",")) {
            Matcher matcher = TASKS.matcher(part.strip());
            if (!matcher.matches()) {
                throw new InvalidArgumentException("SLURM_TASKS_PER_NODE is \"" + each + "\", and must be as 2(x3),1");
            }
            before += matcher.group(2) == null ? 1 : Integer.parseInt(matcher.group(2));
            if (node < before) {
                return Math.max(1, Integer.parseInt(matcher.group(1)));
            }
        }
        throw new InvalidArgumentException("SLURM_NODEID is " + node + ", and SLURM_TASKS_PER_NODE \"" + each
                + "\" tells of " + before + " nodes");
    }

    private static String firstNode(Map<String, String> environment) {
        String nodes = required(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST");
        Matcher name = FIRST_NAME.matcher(nodes.strip());
        if (!name.lookingAt()) {
            throw new InvalidArgumentException("SLURM_JOB_NODELIST is \"" + nodes
                    + "\", whose first node cannot be told: set MASTER_ADDR to the host of rank 0");
        }
        return BRACKETS.matcher(name.group()).replaceAll("$1");
    }

    /** The same for all ranks of a step, and most likely another one for each step. */
    private static int port(Map<String, String> environment) {
        String name = environment.containsKey("SLURM_JOB_ID") ? "SLURM_JOB_ID" : "SLURM_JOBID";
        long job = RankEnvironment.number(environment, name, 0, Integer.MAX_VALUE);
        long step = RankEnvironment.number(environment, "SLURM_STEP_ID", 0, Integer.MAX_VALUE);
        return FIRST_PORT + (int) ((job + 7 * step) % PORTS);
    }
}
