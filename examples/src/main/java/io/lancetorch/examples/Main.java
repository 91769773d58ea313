package io.lancetorch.examples;

import io.lancetorch.distributed.ErrorFile;
import io.lancetorch.error.LanceTorchException;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The commands behind the script {@code ./lancetorch}. */
@Command(
        name = "lancetorch",
        description = "Writes image datasets to Lance, and trains on them with ranks that average their gradients.",
        mixinStandardHelpOptions = true,
        version = "lancetorch " + Main.VERSION,
        subcommands = {
            CreateDatasetCommand.class,
            TrainCommand.class,
            TrackCommand.class,
            ReportCommand.class,
            PlanCommand.class,
            LaunchCommand.class
        })
public final class Main implements Runnable {
    static final String VERSION = "0.1.0";

    private static final int HELP_SHOWN = 3;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    private Main() {}

    public static void main(String[] arguments) {
        try {
            System.exit(run(arguments));
        } catch (Error e) {
            ErrorFile.write(e);
            throw e;
        }
    }

    /** Runs a command and returns its exit status: 0, 1 for a failure that it has named, 2 for a wrong use. */
    static int run(String... arguments) {
        var command = new CommandLine(new Main())
                .setExecutionExceptionHandler(Main::report)
                .setCaseInsensitiveEnumValuesAllowed(true);
        if (System.getenv("LANCETORCH_PARSE_ONLY") != null) {
            command.setExecutionStrategy(Main::parseOnly);
        }
        return command.execute(arguments);
    }

    /** For the script, which asks whether a use is right before it builds the native libraries. */
    private static int parseOnly(CommandLine.ParseResult result) {
        return CommandLine.printHelpIfRequested(result) ? HELP_SHOWN : 0;
    }

    /** A failure that lancetorch has a name for is told in one line; of any other, the trace is what helps. */
    private static int report(Exception failure, CommandLine command, CommandLine.ParseResult result) {
        ErrorFile.write(failure);
        String rank = System.getenv("RANK");
        String prefix = rank == null ? "lancetorch: " : "lancetorch: rank " + rank + ": ";
        if (failure instanceof LanceTorchException || failure instanceof UserException) {
            command.getErr().println(prefix + failure.getMessage());
            if (System.getenv("LANCETORCH_TRACE") != null) {
                failure.printStackTrace(command.getErr());
            }
        } else {
            command.getErr().println(prefix + failure);
            failure.printStackTrace(command.getErr());
        }
        return 1;
    }

    @Override
    public void run() {
        throw new CommandLine.ParameterException(
                spec.commandLine(), "say what to do: create-dataset, train, track, report, plan or launch");
    }
}
