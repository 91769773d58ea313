package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Chromium without a screen, and without a network. */
final class Browser {
    private static final long PATIENCE_SECONDS = 120;

    private final String program;
    private final Path profiles;

    /** Skips the test where there is no Chromium. {@code profiles}: an empty folder. */
    Browser(Path profiles) {
        this.profiles = profiles;
        program = Stream.of("chromium", "chromium-browser", "google-chrome")
                .flatMap(name -> Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                        .map(folder -> Path.of(folder, name)))
                .filter(Files::isExecutable)
                .map(Path::toString)
                .findFirst()
                .orElse(null);
        assumeTrue(program != null, "skipped: no chromium on PATH to look at the page with");
    }

    /** The document as it is once the page's scripts have run; fails where the console has errors. */
    String dom(Path page) throws IOException, InterruptedException {
        return run(page, "--dump-dom", "--virtual-time-budget=10000");
    }

    /** A picture of the page's top, {@code width} x {@code height} pixels. */
    void screenshot(Path page, Path png, int width, int height, boolean dark) throws IOException, InterruptedException {
        List<String> options = new ArrayList<>(
                List.of("--screenshot=" + png, "--window-size=" + width + "," + height, "--hide-scrollbars"));
        if (dark) {
            options.add("--blink-settings=preferredColorScheme=0");
        }
        run(page, options.toArray(String[]::new));
        assertThat(png).isRegularFile();
    }

    private String run(Path page, String... options) throws IOException, InterruptedException {
        Path log = Files.createTempFile(profiles, "log", "");
        List<String> command = new ArrayList<>(List.of(
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                // No name is found: what the page asked for would be an error of the console's.
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--enable-logging=stderr",
                "--user-data-dir=" + Files.createTempDirectory(profiles, "profile")));
        command.addAll(List.of(options));
        command.add(page.toUri().toString());
        Path output = Files.createTempFile(profiles, "dom", "");
        Process process = new ProcessBuilder(command)
                .redirectOutput(output.toFile())
                .redirectError(log.toFile())
                .start();
        assertThat(process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(Files.readString(log)).isZero();
        assertThat(Files.readAllLines(log)).noneMatch(line -> line.contains("CONSOLE"));
        return Files.readString(output);
    }
}
