package io.lancetorch.jmh;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The virtual environment of the Python peers, made at their first use below the bench's folder, with pip, of pinned versions.
 * Several GB, as pip's torch brings CUDA.
 */
final class PythonEnvironment {
    /** What is installed together, each from a requirements file of its own, so that one that fails leaves the others. */
    enum Part {
        BASE("requirements.txt"),
        DALI("requirements-dali.txt"),
        /** Compiled at its installation; the names are Debian's. */
        FFCV("requirements-ffcv.txt", "g++", "pkg-config", "libturbojpeg0-dev", "libopencv-dev");

        final String requirements;
        final List<String> systemPackages;

        Part(String requirements, String... systemPackages) {
            this.requirements = requirements;
            this.systemPackages = List.of(systemPackages);
        }
    }

    private final Path sources;
    private final Path environment;
    private final Path logs;

    PythonEnvironment(Path sources, Path folder) {
        this.sources = sources;
        environment = folder.resolve("python");
        logs = folder;
    }

    /** The interpreter, with that part installed. */
    Path with(Part part) throws IOException, InterruptedException, Unavailable {
        Path python = environment.resolve("bin/python");
        Path log = logs.resolve("python-" + part.name().toLowerCase(java.util.Locale.ROOT) + ".log");
        Path requirements = sources.resolve(part.requirements);
        Path installed = environment.resolve("installed-" + part.requirements);
        if (Files.exists(installed) && Files.mismatch(installed, requirements) < 0) {
            return python;
        }
        if (part != Part.BASE) {
            with(Part.BASE);
        } else if (!Files.isExecutable(python)) {
            System.err.println("  making a Python environment at " + environment + " ...");
            Command.logged(log, logs, Map.of(), List.of("python3", "-m", "venv", environment.toString()));
        }
        installSystemPackages(part, log);
        System.err.println("  pip install -r " + part.requirements + " ...");
        Command.logged(
                log,
                logs,
                Map.of("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
                List.of(python.toString(), "-m", "pip", "install", "-r", requirements.toString()));
        Files.copy(requirements, installed, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        return python;
    }

    private void installSystemPackages(Part part, Path log) throws IOException, InterruptedException, Unavailable {
        List<String> missing = new ArrayList<>();
        for (String name : part.systemPackages) {
            if (!isInstalled(name)) {
                missing.add(name);
            }
        }
        if (missing.isEmpty()) {
            return;
        }
        if (!System.getProperty("user.name").equals("root")) {
            throw new Unavailable("install the system packages " + String.join(" ", missing) + " first");
        }
        System.err.println("  installing the system packages " + String.join(" ", missing) + " ...");
        Map<String, String> quietly = Map.of("DEBIAN_FRONTEND", "noninteractive");
        Command.logged(log, logs, quietly, List.of("apt-get", "update", "-qq"));
        List<String> install = new ArrayList<>(List.of("apt-get", "install", "-y", "-qq", "--no-install-recommends"));
        install.addAll(missing);
        Command.logged(log, logs, quietly, install);
    }

    private static boolean isInstalled(String debianPackage) throws IOException {
        try (Stream<Path> lists = Files.list(Path.of("/var/lib/dpkg/info"))) {
            return lists.map(file -> file.getFileName().toString())
                    .anyMatch(name -> name.equals(debianPackage + ".list")
                            || name.startsWith(debianPackage + ":") && name.endsWith(".list"));
        } catch (java.nio.file.NoSuchFileException _) {
            return false;
        }
    }
}
