// SPDX-License-Identifier: Apache-2.0
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "handle.h"

using namespace lancetorch;

namespace {

std::mutex mutex;
// The thread that started the profiler which is running; it keeps its state there.
std::thread::id owner;

}  // namespace

lt_status lt_profiler_start(int32_t shapes, lt_error* err) {
  return guard(err, "lt_profiler_start", [&] {
    std::lock_guard<std::mutex> lock(mutex);
    require(owner == std::thread::id(), "a profiler is running already, one at a time does");
    using torch::profiler::impl::ActivityType;
    std::set<ActivityType> activities{ActivityType::CPU};
    if (lt_device_count(LT_DEVICE_CUDA) > 0) {
      activities.insert(ActivityType::CUDA);
    }
    torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO,
                                                 /*report_input_shapes=*/shapes != 0);
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(config, activities);
    owner = std::this_thread::get_id();
  });
}

lt_status lt_profiler_stop(const char* path, lt_error* err) {
  return guard(err, "lt_profiler_stop", [&] {
    std::lock_guard<std::mutex> lock(mutex);
    require(owner == std::this_thread::get_id(), "no profiler was started on this thread");
    owner = {};
    auto result = torch::autograd::profiler::disableProfiler();
    if (path == nullptr) {
      return;
    }
    // Kineto only logs that it could not write, and finishes a file of another name first.
    std::error_code failure;
    std::filesystem::remove(path, failure);
    result->save(path);
    if (!std::filesystem::exists(path, failure)) {
      fail(LT_IO, "cannot write the trace to " + std::string(path));
    }
  });
}
