package io.lancetorch.examples;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;

/** What starts this very command once more, such as for each rank. */
final class OwnCommand {
    private OwnCommand() {}

    /** This JVM's command line, with the arguments that {@code spec}'s command was given. */
    static List<String> of(CommandLine.Model.CommandSpec spec) {
        List<String> command = new ArrayList<>();
        command.add(ProcessHandle.current().info().command().orElse(System.getProperty("java.home") + "/bin/java"));
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.add("-classpath");
        command.add(System.getProperty("java.class.path"));
        command.add(Main.class.getName());
        CommandLine root = spec.commandLine().getParent();
        command.addAll(
                (root == null ? spec.commandLine() : root).getParseResult().originalArgs());
        return command;
    }
}
