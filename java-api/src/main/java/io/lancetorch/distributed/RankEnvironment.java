package io.lancetorch.distributed;

import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.util.Map;

/**
 * Who this process is among the ranks, as torchrun's variables say:
 * <a href="https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables">RANK, LOCAL_RANK, WORLD_SIZE,
 * MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE and TORCHELASTIC_RESTART_COUNT</a>. Where RANK is not set, and this
 * process is one of several tasks of Slurm's {@code srun}, its variables say so: SLURM_PROCID, SLURM_LOCALID, the step's number
 * of tasks and tasks per node, the first node as MASTER_ADDR and a port by the job and the step, unless these two are set.
 *
 * @param localRank among the ranks of this machine; the rank where LOCAL_RANK is not set
 * @param useAgentStore the store is served by torchrun's agent, so that no rank serves it
 * @param restartCount how often torchrun has started this machine's ranks anew after one of them had failed
 */
public record RankEnvironment(
        int rank,
        int localRank,
        int worldSize,
        String masterAddress,
        int masterPort,
        boolean useAgentStore,
        int restartCount) {

    /** Whether a launcher has set RANK, or this is one of several tasks of Slurm's. */
    public static boolean isSet() {
        return isSet(System.getenv());
    }

    static boolean isSet(Map<String, String> environment) {
        return environment.containsKey("RANK") || SlurmEnvironment.isSet(environment);
    }

    /**
     * The number of ranks on this machine, which share its cores: LOCAL_WORLD_SIZE, or 1 where it is not set.
     *
     * @throws InvalidArgumentException where it is no number, or less than 1
     */
    public static int localWorldSize() {
        return localWorldSize(System.getenv());
    }

    static int localWorldSize(Map<String, String> variables) {
        Map<String, String> environment = SlurmEnvironment.withTorchruns(variables);
        return environment.containsKey("LOCAL_WORLD_SIZE")
                ? number(environment, "LOCAL_WORLD_SIZE", 1, Integer.MAX_VALUE)
                : 1;
    }

    /**
     * The number of ranks: WORLD_SIZE, or 1 where no launcher has set RANK.
     *
     * @throws InvalidArgumentException where it is no number, or less than 1
     */
    public static int worldSizeOrOne() {
        return worldSizeOrOne(System.getenv());
    }

    static int worldSizeOrOne(Map<String, String> environment) {
        return isSet(environment)
                ? number(SlurmEnvironment.withTorchruns(environment), "WORLD_SIZE", 1, Integer.MAX_VALUE)
                : 1;
    }

    /**
     * RANK, or 0 where no launcher has set it.
     *
     * @throws InvalidArgumentException where it is no number, or no rank of the world
     */
    public static int rankOrZero() {
        return rankOrZero(System.getenv());
    }

    static int rankOrZero(Map<String, String> environment) {
        return isSet(environment)
                ? number(SlurmEnvironment.withTorchruns(environment), "RANK", 0, worldSizeOrOne(environment) - 1)
                : 0;
    }

    /**
     * Reads the variables of this process.
     *
     * @throws NotFoundException naming the variable that is missing
     * @throws InvalidArgumentException naming the variable that is no number, or out of bounds
     */
    public static RankEnvironment read() {
        return read(System.getenv());
    }

    /** Reads the variables from a map. */
    public static RankEnvironment read(Map<String, String> variables) {
        Map<String, String> environment = SlurmEnvironment.withTorchruns(variables);
        int worldSize = number(environment, "WORLD_SIZE", 1, Integer.MAX_VALUE);
        int rank = number(environment, "RANK", 0, Integer.MAX_VALUE);
        if (rank >= worldSize) {
            throw new InvalidArgumentException(
                    "RANK is " + rank + " and WORLD_SIZE is " + worldSize + ": ranks are 0 to " + (worldSize - 1));
        }
        int localRank =
                environment.containsKey("LOCAL_RANK") ? number(environment, "LOCAL_RANK", 0, Integer.MAX_VALUE) : rank;
        String address = required(environment, "MASTER_ADDR");
        int port = number(environment, "MASTER_PORT", 1, 65_535);
        boolean agentStore = "True".equalsIgnoreCase(environment.getOrDefault("TORCHELASTIC_USE_AGENT_STORE", "False"));
        int restarts = environment.containsKey("TORCHELASTIC_RESTART_COUNT")
                ? number(environment, "TORCHELASTIC_RESTART_COUNT", 0, Integer.MAX_VALUE)
                : 0;
        return new RankEnvironment(rank, localRank, worldSize, address, port, agentStore, restarts);
    }

    private static String required(Map<String, String> environment, String name) {
        String value = environment.get(name);
        if (value == null || value.isEmpty()) {
            throw new NotFoundException(
                    "the environment variable " + name
                            + " is not set: start the ranks with ./lancetorch launch, torchrun or srun, or set it for each of them");
        }
        return value;
    }

    static int number(Map<String, String> environment, String name, int least, int most) {
        String value = required(environment, name);
        try {
            int number = Integer.parseInt(value.strip());
            if (number >= least && number <= most) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Said below, in the words for any value that cannot be.
        }
        throw new InvalidArgumentException("the environment variable " + name + " is \"" + value
                + "\", and must be a whole number from " + least + (most == Integer.MAX_VALUE ? "" : " to " + most));
    }
}
