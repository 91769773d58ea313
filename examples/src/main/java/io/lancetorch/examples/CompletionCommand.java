package io.lancetorch.examples;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Prints the script by which a shell completes the commands. */
@Command(
        name = "completion",
        mixinStandardHelpOptions = true,
        description = "Prints a script by which bash and zsh complete commands, options and their values.")
final class CompletionCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        var out = spec.commandLine().getOut();
        // picocli takes the shell's own completion away, which is what completes the paths of datasets.
        out.print(AutoComplete.bash("lancetorch", spec.root().commandLine())
                .replace("  type compopt &>/dev/null && compopt +o default\n", ""));
        out.flush();
    }
}
