package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A real Slurm on this machine: a controller and two nodes, as processes that end with this object. */
final class SlurmCluster implements AutoCloseable {
    private final Path folder;
    private final List<Process> daemons = new ArrayList<>();

    /** Skips the test where Slurm is not installed. {@code folder}: empty, for the daemons' files. */
    SlurmCluster(Path folder) throws Exception {
        this.folder = folder;
        for (String program : List.of("munged", "slurmctld", "slurmd", "sbatch")) {
            assumeTrue(find(program) != null, "Slurm is not installed: there is no " + program);
        }
        // munged wants its socket where every user may reach it.
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        byte[] key = new byte[1024];
        new SecureRandom().nextBytes(key);
        Files.write(folder.resolve("munge.key"), key);
        Files.setPosixFilePermissions(folder.resolve("munge.key"), PosixFilePermissions.fromString("rw-------"));
        Files.createDirectory(folder.resolve("state"));
        Files.writeString(folder.resolve("slurm.conf"), configuration());
        try {
            daemon(
                    "munged",
                    "--foreground",
                    "--force",
                    "--socket=" + socket(),
                    "--key-file=" + folder.resolve("munge.key"),
                    "--pid-file=" + folder.resolve("munge.pid"),
                    "--seed-file=" + folder.resolve("munge.seed"));
            await("munged", () -> Files.exists(socket()));
            daemon("slurmctld", "-D");
            daemon("slurmd", "-D", "-N", "node1");
            daemon("slurmd", "-D", "-N", "node2");
            await("both nodes", () -> run("sinfo", "--noheader", "--format=%D %t")
                    .equals("2 idle"));
        } catch (Exception | AssertionError e) {
            close();
            throw e;
        }
    }

    private Path socket() {
        return folder.resolve("munge.sock");
    }

    private String configuration() throws IOException {
        String user = System.getProperty("user.name");
        StringBuilder nodes = new StringBuilder();
        for (String node : List.of("node1", "node2")) {
            nodes.append("NodeName=%s NodeHostname=localhost NodeAddr=127.0.0.1 Port=%d CPUs=1 State=UNKNOWN\n"
                    .formatted(node, RunningTraining.freePort()));
        }
        return """
                ClusterName=test
                SlurmctldHost=localhost
                SlurmctldPort=%d
                SlurmUser=%s
                SlurmdUser=%s
                AuthType=auth/munge
                AuthInfo=socket=%s
                StateSaveLocation=%s
                SlurmctldPidFile=%s/slurmctld.pid
                SlurmdPidFile=%s/%%n.pid
                SlurmdSpoolDir=%s/%%n
                ProctrackType=proctrack/linuxproc
                TaskPlugin=task/none
                MpiDefault=none
                SelectType=select/cons_tres
                %sPartitionName=all Nodes=node1,node2 Default=YES State=UP
                """.formatted(
                        RunningTraining.freePort(),
                        user,
                        user,
                        socket(),
                        folder.resolve("state"),
                        folder,
                        folder,
                        folder,
                        nodes);
    }

    private static Path find(String program) {
        return Stream.concat(Stream.of(System.getenv("PATH").split(":")), Stream.of("/usr/sbin", "/sbin"))
                .map(directory -> Path.of(directory, program))
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
    }

    /** What finds this cluster. */
    Map<String, String> environment() {
        return Map.of("SLURM_CONF", folder.resolve("slurm.conf").toString());
    }

    private ProcessBuilder builder(String... command) {
        command[0] = find(command[0]).toString();
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(environment());
        return builder;
    }

    private void daemon(String... command) throws IOException {
        Path log = folder.resolve("daemon-" + daemons.size() + ".log");
        daemons.add(builder(command).redirectOutput(log.toFile()).start());
    }

    /** What a command of Slurm says. */
    String run(String... command) throws IOException, InterruptedException {
        Process process = builder(command).start();
        String output = new String(process.getInputStream().readAllBytes()).strip();
        process.waitFor();
        return output;
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private void await(String what, Condition condition) throws Exception {
        for (long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); !condition.holds(); Thread.sleep(100)) {
            assertThat(System.nanoTime()).as("%s: %s", what, logs()).isLessThan(deadline);
        }
    }

    private String logs() throws IOException {
        StringBuilder logs = new StringBuilder();
        for (int daemon = 0; daemon < daemons.size(); daemon++) {
            logs.append(Files.readString(folder.resolve("daemon-" + daemon + ".log")));
        }
        return logs.toString();
    }

    @Override
    public void close() {
        for (Process daemon : daemons.reversed()) {
            daemon.destroy();
            try {
                daemon.waitFor(10, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            daemon.descendants().forEach(ProcessHandle::destroyForcibly);
            daemon.destroyForcibly();
        }
    }
}
