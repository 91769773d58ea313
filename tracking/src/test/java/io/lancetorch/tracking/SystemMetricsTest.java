package io.lancetorch.tracking;

import static org.assertj.core.api.Assertions.assertThat;

import io.lancetorch.tracking.TrackingEvent.Metrics;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SystemMetricsTest {
    @TempDir
    private Path folder;

    @Test
    void processTellsItsCpuAndMemoryAtTheStepItIsAt() throws Exception {
        Path file = folder.resolve("system.jsonl");
        try (var tracker = new JsonLinesTracker(file, false)) {
            try (var _ = SystemMetrics.every(Duration.ofMillis(50), tracker, () -> 42)) {
                while (JsonLinesTracker.read(file).size() < 3) {
                    Thread.sleep(20);
                }
            }
        }
        List<TrackingEvent> events = JsonLinesTracker.read(file);
        assertThat(events).hasSizeGreaterThan(3).allSatisfy(event -> {
            var told = (Metrics) event;
            assertThat(told.step()).isEqualTo(42);
            assertThat(told.values().get("system/process_rss_megabytes")).isBetween(20.0, 100_000.0);
            assertThat(told.values().get("system/process_heap_megabytes")).isBetween(1.0, 4_000.0);
            assertThat(told.values().get("system/cpu_utilization_percentage")).isBetween(0.0, 100.0);
        });
    }

    @Test
    void gpusAreToldOneByOne() {
        assertThat(SystemMetrics.gpus("0, 1024, 97\n1, 4, [N/A]\nFailed to initialize NVML\n"))
                .isEqualTo(Map.of(
                        "system/gpu_0_memory_usage_megabytes", 1073.741824,
                        "system/gpu_0_utilization_percentage", 97.0,
                        "system/gpu_1_memory_usage_megabytes", 4.194304));
    }
}
