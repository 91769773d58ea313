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
            InspectCommand.class,
            LaunchCommand.class,
            ScriptCommands.Build.class,
            ScriptCommands.Test.class,
            ScriptCommands.Site.class,
            CompletionCommand.class,
            CommandLine.HelpCommand.class
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
        CommandLine command = commands();
        if (System.getenv("LANCETORCH_PARSE_ONLY") != null) {
            command.setExecutionStrategy(Main::parseOnly);
        }
        return command.execute(arguments);
    }

    /** All commands, the script's among them. */
    static CommandLine commands() {
        var command = new CommandLine(new Main());
        command.addSubcommand(benchmarks());
        if ("dumb".equals(System.getenv("TERM"))) {
            command.setColorScheme(CommandLine.Help.defaultColorScheme(CommandLine.Help.Ansi.OFF));
        }
        Manual.apply(command);
        return command.setExecutionExceptionHandler(Main::report)
                .setParameterExceptionHandler(Main::refuse)
                .setCaseInsensitiveEnumValuesAllowed(true);
    }

    /** Nothing here depends on the benchmarks; the script puts them on the class path where they are built. */
    private static Object benchmarks() {
        try {
            return new CommandLine(Class.forName("io.lancetorch.jmh.Bench"));
        } catch (ClassNotFoundException e) {
            return new ScriptCommands.Bench();
        }
    }

    /** For the script, which asks whether a use is right before it builds the native libraries. */
    private static int parseOnly(CommandLine.ParseResult result) {
        return CommandLine.printHelpIfRequested(result) ? HELP_SHOWN : 0;
    }

    /** What is wrong, and what would be right, without all of the help. */
    private static int refuse(CommandLine.ParameterException failure, String[] arguments) {
        CommandLine command = failure.getCommandLine();
        var err = command.getErr();
        err.println("lancetorch: " + failure.getMessage());
        CommandLine.UnmatchedArgumentException.printSuggestions(failure, err);
        err.print("usage: " + command.getHelp().fullSynopsis());
        String name = command.getCommandName();
        err.println(
                command.getParent() == null
                        ? "./lancetorch help tells what there is"
                        : "./lancetorch help " + name + " tells all about it");
        return CommandLine.ExitCode.USAGE;
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
                spec.commandLine(), "say what to do: create-dataset, train, track, report, plan, inspect or launch");
    }
}
