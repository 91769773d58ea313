package io.lancetorch.examples;

import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The commands that the script runs before, or without, any Java: what they take, for help and completion. */
final class ScriptCommands {
    private ScriptCommands() {}

    /** One of them; it cannot be run from here. */
    private abstract static class OfTheScript implements Runnable {
        @Spec
        private CommandSpec spec;

        @Override
        public void run() {
            throw new ParameterException(
                    spec.commandLine(), "this command is the script's: ./lancetorch " + spec.name());
        }
    }

    @Command(
            name = "build",
            mixinStandardHelpOptions = true,
            description =
                    "Compiles the Java sources and the native libraries, the latter into build/native/lib. The first time it"
                            + " compiles Lance, which takes about half an hour on 2 cores.")
    static final class Build extends OfTheScript {
        @Option(
                names = "--libtorch",
                paramLabel = "DIR",
                description = "Compile for this libtorch, from 2.10 to 2.13, instead of the JavaCPP presets' own.")
        private Path libtorch;
    }

    @Command(
            name = "test",
            mixinStandardHelpOptions = true,
            description =
                    "Runs formatters, linters and all tests, native ones also under ASan and UBSan, and builds the site.")
    static final class Test extends OfTheScript {
        @Option(
                names = "--soak",
                paramLabel = "SECONDS",
                arity = "0..1",
                fallbackValue = "3600",
                description =
                        "Instead, do all that a training run does over and over for so long (an hour where no number is"
                                + " given), to see that nothing grows.")
        private Integer soak;

        @Option(names = "--fuzz", paramLabel = "N", description = "N times as many damaged files.")
        private int fuzz;
    }

    @Command(
            name = "site",
            mixinStandardHelpOptions = true,
            description = "Builds these documents, with the Javadoc, as a web site in docs/target/site.")
    static final class Site extends OfTheScript {}

    /** Stands for the benchmarks where they are not on the class path. */
    @Command(
            name = "bench",
            description =
                    "Runs benchmarks, each beside its peers and its limit. Once they are built, this tells their options.")
    static final class Bench extends OfTheScript {}
}
