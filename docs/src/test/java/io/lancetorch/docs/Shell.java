package io.lancetorch.docs;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Runs what a user types into bash. */
final class Shell {
    record Result(int status, String output) {}

    private Shell() {}

    /** Runs {@code command} in a folder, without the variables of ranks; both of its outputs come back as one. */
    static Result run(Path where, Map<String, String> environment, String command)
            throws IOException, InterruptedException {
        Path log = Files.createTempFile("lancetorch-command", ".log");
        try {
            var builder = new ProcessBuilder("bash", "-c", command)
                    .directory(where.toFile())
                    .redirectInput(Path.of("/dev/null").toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile());
            builder.environment().keySet().removeAll(List.of("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"));
            builder.environment().put("LANCETORCH_NATIVE", System.getProperty("lancetorch.native"));
            builder.environment().putAll(environment);
            Process process = builder.start();
            if (!process.waitFor(3, TimeUnit.MINUTES)) {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly();
                throw new AssertionError(command + " has not ended: " + Files.readString(log));
            }
            return new Result(process.exitValue(), Files.readString(log));
        } finally {
            Files.delete(log);
        }
    }
}
