package io.lancetorch.tracking;

import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Tells a tracker, at regular times, what this process and its machine are up to, by a thread of its own. The names begin with
 * {@code system/}, under which MLflow shows them apart:
 *
 * <ul>
 *   <li>{@code cpu_utilization_percentage}: of all cores, by all processes
 *   <li>{@code process_cpu_percentage}: of all cores, by this process
 *   <li>{@code process_rss_megabytes}: memory of this process that is resident, tensors and the Java heap included
 *   <li>{@code process_heap_megabytes}: the Java heap in use
 *   <li>{@code gpu_N_memory_usage_megabytes}, {@code gpu_N_utilization_percentage}: of each NVIDIA GPU that nvidia-smi sees
 * </ul>
 *
 * What the machine does not tell is left out. A megabyte is 10⁶ bytes.
 */
public final class SystemMetrics implements AutoCloseable {
    private static final String PREFIX = "system/";
    private static final double MEGA = 1e6;
    private static final double MEBI = 1 << 20;
    private static final long PATIENCE_SECONDS = 5;

    private final Tracker tracker;
    private final LongSupplier step;
    private final ScheduledExecutorService thread;
    private final Path nvidiaSmi = find("nvidia-smi");

    private SystemMetrics(Tracker tracker, LongSupplier step) {
        this.tracker = tracker;
        this.step = step;
        thread = Executors.newSingleThreadScheduledExecutor(
                Thread.ofPlatform().daemon().name("lancetorch-system-metrics").factory());
    }

    /**
     * Begins; the first figures come after one {@code interval}.
     *
     * @param step the step that the run is at, asked by another thread
     */
    public static SystemMetrics every(Duration interval, Tracker tracker, LongSupplier step) {
        var metrics = new SystemMetrics(tracker, step);
        // The first answer of the JVM's about its CPU is for the time since it was asked before.
        metrics.sample();
        metrics.thread.scheduleAtFixedRate(
                metrics::track, interval.toNanos(), interval.toNanos(), TimeUnit.NANOSECONDS);
        return metrics;
    }

    private void track() {
        try {
            tracker.metrics(step.getAsLong(), sample());
        } catch (RuntimeException e) {
            // An exception would end the thread's work without a word; a tracker that fails tells it where it can.
        }
    }

    private Map<String, Double> sample() {
        Map<String, Double> values = new LinkedHashMap<>();
        var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        putPercentage(values, "cpu_utilization_percentage", system.getCpuLoad());
        putPercentage(values, "process_cpu_percentage", system.getProcessCpuLoad());
        residentBytes(values);
        values.put(
                PREFIX + "process_heap_megabytes",
                ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed() / MEGA);
        if (nvidiaSmi != null) {
            values.putAll(gpus(run(nvidiaSmi)));
        }
        return values;
    }

    private static void putPercentage(Map<String, Double> values, String name, double share) {
        if (share >= 0) {
            values.put(PREFIX + name, 100 * share);
        }
    }

    private static void residentBytes(Map<String, Double> values) {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmRSS:")) {
                    values.put(
                            PREFIX + "process_rss_megabytes", Long.parseLong(line.replaceAll("\\D", "")) * 1024 / MEGA);
                }
            }
        } catch (IOException e) {
            // Only Linux tells it here.
        }
    }

    private static Path find(String program) {
        return Arrays.stream(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
                .map(folder -> Path.of(folder, program))
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
    }

    private static String run(Path nvidiaSmi) {
        try {
            Process process = new ProcessBuilder(
                            nvidiaSmi.toString(),
                            "--query-gpu=index,memory.used,utilization.gpu",
                            "--format=csv,noheader,nounits")
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            process.getOutputStream().close();
            if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return "";
            }
            return process.exitValue() == 0
                    ? new String(process.getInputStream().readAllBytes())
                    : "";
        } catch (IOException e) {
            return "";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "";
        }
    }

    /** {@code csv}: a line for each GPU: its index, the memory in use in MiB, and its utilization in percent. */
    static Map<String, Double> gpus(String csv) {
        Map<String, Double> values = new LinkedHashMap<>();
        for (String line : csv.lines().toList()) {
            List<String> fields =
                    Arrays.stream(line.split(",")).map(String::strip).toList();
            // A figure that the GPU does not tell is "[N/A]".
            if (fields.size() == 3 && fields.getFirst().matches("\\d+")) {
                String gpu = PREFIX + "gpu_" + fields.getFirst() + "_";
                if (fields.get(1).matches("\\d+")) {
                    values.put(gpu + "memory_usage_megabytes", Integer.parseInt(fields.get(1)) * MEBI / MEGA);
                }
                if (fields.get(2).matches("\\d+")) {
                    values.put(gpu + "utilization_percentage", Double.valueOf(fields.get(2)));
                }
            }
        }
        return values;
    }

    /** Tells the figures of now, and ends. */
    @Override
    public void close() {
        if (thread.isShutdown()) {
            return;
        }
        thread.shutdown();
        track();
    }
}
