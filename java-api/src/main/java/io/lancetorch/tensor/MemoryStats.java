package io.lancetorch.tensor;

/**
 * What libtorch's caching allocator has of a device's memory; peaks since the start, or since {@link Device#resetPeakMemory}.
 *
 * @param allocated bytes of tensors
 * @param allocatedPeak the most of them
 * @param reserved bytes taken from the device, those included that are kept for later tensors
 * @param reservedPeak the most of them
 * @param allocations how often memory was asked for
 * @param retries how often the device had none left, so that what was kept had to be given back first
 * @param outOfMemory how often that did not help
 * @param free bytes of the device that no process has; -1 where libtorch cannot tell
 * @param total bytes of the device; -1 where libtorch cannot tell
 */
public record MemoryStats(
        long allocated,
        long allocatedPeak,
        long reserved,
        long reservedPeak,
        long allocations,
        long retries,
        long outOfMemory,
        long free,
        long total) {}
