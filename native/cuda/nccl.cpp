// SPDX-License-Identifier: Apache-2.0
#include <nccl.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#pragma GCC visibility push(default)
#include <lancetorch/cuda.h>
#pragma GCC visibility pop

#include "error.h"
#include "process_group.h"
#include "store.h"

// torch/csrc/cuda/nccl.h declares it, but includes cuBLAS's headers and others too.
namespace torch::cuda::nccl {
std::uint64_t version();
}

using namespace lancetorch;
using std::chrono::milliseconds;

namespace {

// c10d's defaults end the process where a collective fails or its watchdog is held up; a library in a JVM reports.
void set_watchdog() {
  static std::once_flag once;
  std::call_once(once, [] {
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", std::to_string(c10d::CleanUpOnly).c_str(), /*overwrite=*/0);
    setenv("TORCH_NCCL_ENABLE_MONITORING", "0", /*overwrite=*/0);
    setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "0", /*overwrite=*/0);
  });
}

std::string text_of(uint64_t version) {
  return std::to_string(version >> 32) + "." + std::to_string(version >> 16 & 0xffff) + "." +
         std::to_string(version & 0xffff);
}

// ProcessGroupNCCL's options hold a structure of NCCL's, whose size changes from version to version.
void require_same_header() {
  constexpr uint64_t ours = static_cast<uint64_t>(NCCL_MAJOR) << 32 | NCCL_MINOR << 16 | NCCL_PATCH;
  uint64_t theirs = torch::cuda::nccl::version();
  if (ours != theirs) {
    fail(LT_UNSUPPORTED, "liblancetorch_cuda.so was compiled with the nccl.h of NCCL " + text_of(ours) +
                             ", and this libtorch with " + text_of(theirs) +
                             ": name a folder that has nccl.h of that version with CUDA_HOME, and build again");
  }
}

}  // namespace

int32_t lt_nccl_version(void) { return NCCL_VERSION_CODE; }

lt_status lt_process_group_add_nccl(lt_process_group* group, lt_store* store, lt_device device,
                                    int64_t timeout_milliseconds, int32_t high_priority, lt_error* err) {
  return guard(err, "lt_process_group_add_nccl", [&] {
    require_pointer(group, "group");
    require_pointer(store, "store");
    require(device.type == LT_DEVICE_CUDA && device.index >= 0, "device is not CUDA's with an index");
    require(timeout_milliseconds > 0, "timeout_milliseconds must be 1 or more");
    require(group->nccl == nullptr, "the group has NCCL already");
    lt_error reason;
    if (lt_device_require(device, &reason) != LT_OK) {
      fail(reason.code, reason.message);
    }
    require_same_header();
    set_watchdog();
    milliseconds timeout(timeout_milliseconds);
    auto options = c10d::ProcessGroupNCCL::Options::create(high_priority != 0);
    options->timeout = timeout;
    options->group_name = "lancetorch";
    c10::intrusive_ptr<c10d::Store> connection = store->store->clone();
    connection->setTimeout(timeout);
    int rank = group->backend->getRank();
    int size = group->backend->getSize();
    c10::intrusive_ptr<c10d::Backend> nccl =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(connection, rank, size, options);
    nccl->setSequenceNumberForGroup();
    group->group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, nccl);
    nccl->setBoundDeviceId(c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device.index)));
    group->nccl = std::move(nccl);
  });
}
