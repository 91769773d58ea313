// SPDX-License-Identifier: Apache-2.0
//
// The numbers of libtorch's caching allocators, through c10's device-generic interface of them.
#include <c10/core/CachingDeviceAllocator.h>

#include "device.h"
#include "handle.h"

using namespace lancetorch;

namespace {

c10::DeviceAllocator& allocator_of(const c10::Device& device) {
  if (device.is_cpu()) {
    fail(LT_UNSUPPORTED, "the CPU's memory has no caching allocator");
  }
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
  if (allocator == nullptr) {
    fail(LT_UNSUPPORTED, "the allocator of " + device.str() + " tells no numbers");
  }
  return *allocator;
}

// Of all sizes together.
const c10::CachingAllocator::Stat& total(const c10::CachingAllocator::StatArray& stats) {
  return stats[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
}

}  // namespace

lt_status lt_device_memory_stats(lt_device device, lt_memory_stats* stats, lt_error* err) {
  return guard(err, "lt_device_memory_stats", [&] {
    require_pointer(stats, "stats");
    c10::Device there = available(device);
    c10::DeviceAllocator& allocator = allocator_of(there);
    c10::CachingDeviceAllocator::DeviceStats read = allocator.getDeviceStats(there.index());
    std::pair<int64_t, int64_t> memory{-1, -1};
    try {
      memory = allocator.getMemoryInfo(there.index());
    } catch (const c10::NotImplementedError&) {
      // Not all of them can tell.
    }
    *stats = {.allocated = total(read.allocated_bytes).current,
              .allocated_peak = total(read.allocated_bytes).peak,
              .reserved = total(read.reserved_bytes).current,
              .reserved_peak = total(read.reserved_bytes).peak,
              .allocations = total(read.allocation).allocated,
              .retries = read.num_alloc_retries,
              .out_of_memory = read.num_ooms,
              .free = memory.first,
              .total = memory.second};
  });
}

lt_status lt_device_reset_peak_memory(lt_device device, lt_error* err) {
  return guard(err, "lt_device_reset_peak_memory", [&] {
    c10::Device there = available(device);
    allocator_of(there).resetPeakStats(there.index());
  });
}

lt_status lt_device_empty_cache(lt_device device, lt_error* err) {
  return guard(err, "lt_device_empty_cache", [&] {
    c10::Device there = available(device);
    allocator_of(there).emptyCache();
  });
}
