// SPDX-License-Identifier: Apache-2.0
#include <ATen/autocast_mode.h>

#include "handle.h"

using namespace lancetorch;

namespace {

c10::DeviceType to_type(int32_t type) { return to_device({type, -1}).type(); }

}  // namespace

lt_status lt_autocast_enter(int32_t device_type, int32_t enabled, int32_t dtype, lt_autocast* before, lt_error* err) {
  return guard(err, "lt_autocast_enter", [&] {
    require_pointer(before, "before");
    c10::DeviceType type = to_type(device_type);
    c10::ScalarType to = to_dtype(dtype);
    require(to == at::kHalf || to == at::kBFloat16, "autocast is to float16 or bfloat16");
    bool was_enabled = at::autocast::is_autocast_enabled(type);
    c10::ScalarType was = at::autocast::get_autocast_dtype(type);
    at::autocast::set_autocast_enabled(type, enabled != 0);
    at::autocast::set_autocast_dtype(type, to);
    at::autocast::increment_nesting();
    *before = {device_type, was_enabled ? 1 : 0, static_cast<int32_t>(was)};
  });
}

lt_status lt_autocast_exit(const lt_autocast* before, lt_error* err) {
  return guard(err, "lt_autocast_exit", [&] {
    require_pointer(before, "before");
    c10::DeviceType type = to_type(before->device_type);
    if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
    at::autocast::set_autocast_enabled(type, before->enabled != 0);
    at::autocast::set_autocast_dtype(type, static_cast<c10::ScalarType>(before->dtype));
  });
}

int32_t lt_autocast_enabled(int32_t device_type) {
  return (device_type == LT_DEVICE_CPU || device_type == LT_DEVICE_CUDA) &&
                 at::autocast::is_autocast_enabled(static_cast<c10::DeviceType>(device_type))
             ? 1
             : 0;
}
