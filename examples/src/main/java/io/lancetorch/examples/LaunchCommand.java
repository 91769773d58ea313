package io.lancetorch.examples;

import io.lancetorch.tensor.Device;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * Runs any command as ranks of this machine. The options are torchrun's, and so are their
 * <a href="https://docs.pytorch.org/docs/stable/elastic/run.html">variables PET_*</a>, by which Kubernetes' PyTorchJob and
 * TrainJob tell a pod which one it is.
 */
@Command(
        name = "launch",
        mixinStandardHelpOptions = true,
        description =
                "Runs a command as N ranks of this machine, with the variables that torchrun sets. When one fails,"
                        + " the rest are ended, and after the last restart its exit status is this one's. Where several"
                        + " machines train together, this runs on each of them.")
final class LaunchCommand implements Callable<Integer> {
    private static final int MAX_PORT = 65_535;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--nproc-per-node",
            paramLabel = "N",
            defaultValue = "${env:PET_NPROC_PER_NODE:-2}",
            description =
                    "Number of ranks of this machine; gpu: one for each GPU; cpu: one for each core; auto: one for each"
                            + " GPU, or each core where there is no GPU (default: PET_NPROC_PER_NODE, or 2).")
    private String processes;

    @Option(
            names = "--nnodes",
            paramLabel = "N",
            defaultValue = "${env:PET_NNODES:-1}",
            description = "Number of machines (default: PET_NNODES, or 1).")
    private String nodes;

    @Option(
            names = "--node-rank",
            paramLabel = "N",
            defaultValue = "${env:PET_NODE_RANK:-0}",
            description = "Which of them this one is, from 0 on (default: PET_NODE_RANK, or 0).")
    private int nodeRank;

    @Option(
            names = "--master-addr",
            paramLabel = "HOST",
            defaultValue = "${env:PET_MASTER_ADDR}",
            description = "The machine whose node rank is 0, where there are several (default: PET_MASTER_ADDR).")
    private String masterAddress;

    @Option(
            names = "--master-port",
            paramLabel = "PORT",
            defaultValue = "${env:PET_MASTER_PORT:-29500}",
            description = "A port that is free there, where there are several; each restart takes the next one"
                    + " (default: PET_MASTER_PORT, or 29500).")
    private int masterPort;

    @Option(
            names = "--max-restarts",
            paramLabel = "N",
            defaultValue = "${env:PET_MAX_RESTARTS:-0}",
            description = "Start all ranks anew when one fails, so often at most (default: PET_MAX_RESTARTS, or 0).")
    private int maxRestarts;

    @Parameters(paramLabel = "CMD", arity = "1..*", description = "The command and its arguments, after --.")
    private List<String> command;

    @Override
    public Integer call() throws Exception {
        require(maxRestarts >= 0, "--max-restarts must be 0 or more");
        return new LocalLauncher(maxRestarts, node()).run(processes(), command);
    }

    private Node node() {
        int count = number("--nnodes", nodes, ", and no range: the number of machines stays what it is");
        require(nodeRank >= 0 && nodeRank < count, "--node-rank must be 0 to " + (count - 1) + ", not " + nodeRank);
        if (count == 1) {
            return Node.ALONE;
        }
        require(
                masterAddress != null && !masterAddress.isBlank(),
                "--nnodes " + count + " needs --master-addr, which names the machine of node rank 0");
        require(
                masterPort >= 1 && masterPort + (long) maxRestarts <= MAX_PORT,
                "--master-port must be 1 to " + (MAX_PORT - maxRestarts) + ", since each restart takes the next one");
        return new Node(nodeRank, count, masterAddress, masterPort);
    }

    private int processes() {
        return switch (processes) {
            case "cpu" -> Runtime.getRuntime().availableProcessors();
            case "gpu" -> {
                int gpus = Device.count(Device.Type.CUDA);
                if (gpus == 0) {
                    throw new UserException(
                            "--nproc-per-node gpu: libtorch sees no GPU here; name a number of ranks, or cpu");
                }
                yield gpus;
            }
            case "auto" -> {
                int gpus = Device.count(Device.Type.CUDA);
                yield gpus > 0 ? gpus : Runtime.getRuntime().availableProcessors();
            }
            default -> number("--nproc-per-node", processes, ", or gpu, cpu or auto");
        };
    }

    private int number(String option, String value, String orElse) {
        int number = value.matches("[0-9]{1,9}") ? Integer.parseInt(value) : 0;
        require(number >= 1, option + " must be a number from 1 on" + orElse + "; it is \"" + value + "\"");
        return number;
    }

    private void require(boolean condition, String message) {
        if (!condition) {
            throw new CommandLine.ParameterException(spec.commandLine(), message);
        }
    }
}
