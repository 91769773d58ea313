package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A Python with torch, for tests of the real torchrun: the one that LANCETORCH_PYTHON names, or, where
 * {@code -Dlancetorch.install.torch=true} asks for it, a virtual environment in lancetorch's cache folder, into which pip
 * installs torch once. That takes several GB, as pip's torch for Linux brings CUDA.
 */
final class TorchPython {
    private static final String TORCH = "torch==2.10.0";

    private TorchPython() {}

    /** The interpreter; skips the test where none is named and none is to be installed. */
    static String require() throws IOException, InterruptedException {
        String named = System.getenv("LANCETORCH_PYTHON");
        if (named != null && !named.isEmpty()) {
            return named;
        }
        assumeTrue(
                Boolean.getBoolean("lancetorch.install.torch"),
                "skipped: set LANCETORCH_PYTHON to a python with torch to run its torchrun, or let"
                        + " -Dlancetorch.install.torch=true install one (several GB)");
        return installed().toString();
    }

    /** The beginning of a command that runs {@code ranks} ranks by torchrun, as the only node. */
    static List<String> torchrun(int ranks) throws IOException, InterruptedException {
        return torchrun("--standalone", "--nproc-per-node=" + ranks);
    }

    /** The beginning of a command that runs what follows by torchrun. */
    static List<String> torchrun(String... options) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(require(), "-m", "torch.distributed.run", "--no-python"));
        command.addAll(List.of(options));
        return command;
    }

    private static Path installed() throws IOException, InterruptedException {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path root =
                cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
        Path environment = root.resolve("lancetorch/torchrun");
        Path python = environment.resolve("bin/python");
        Path complete = environment.resolve("installed-" + TORCH);
        if (!Files.exists(complete)) {
            Files.createDirectories(environment);
            File log = environment.resolve("install.log").toFile();
            run(log, "python3", "-m", "venv", environment.toString());
            run(log, python.toString(), "-m", "pip", "install", "--disable-pip-version-check", TORCH);
            Files.createFile(complete);
        }
        return python;
    }

    private static void run(File log, String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log))
                .start();
        assertThat(process.waitFor()).as("%s: see %s", List.of(command), log).isZero();
    }
}
