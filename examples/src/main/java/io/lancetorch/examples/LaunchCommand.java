package io.lancetorch.examples;

import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Runs any command as ranks of this machine. */
@Command(
        name = "launch",
        mixinStandardHelpOptions = true,
        description =
                "Runs a command as N ranks of this machine, with the variables that torchrun sets. When one fails,"
                        + " the rest are ended, and after the last restart its exit status is this one's.")
final class LaunchCommand implements Callable<Integer> {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--nproc-per-node",
            paramLabel = "N",
            defaultValue = "2",
            description = "Number of ranks (default: ${DEFAULT-VALUE}).")
    private int processes;

    @Option(
            names = "--max-restarts",
            paramLabel = "N",
            defaultValue = "0",
            description = "Start all ranks anew when one fails, so often at most (default: ${DEFAULT-VALUE}).")
    private int maxRestarts;

    @Parameters(paramLabel = "CMD", arity = "1..*", description = "The command and its arguments, after --.")
    private List<String> command;

    @Override
    public Integer call() throws Exception {
        if (processes < 1) {
            throw new CommandLine.ParameterException(spec.commandLine(), "--nproc-per-node must be 1 or more");
        }
        if (maxRestarts < 0) {
            throw new CommandLine.ParameterException(spec.commandLine(), "--max-restarts must be 0 or more");
        }
        return new LocalLauncher(maxRestarts).run(processes, command);
    }
}
