// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>

#include "handle.h"

using namespace lancetorch;

lt_status lt_tensor_from_at(const void* at_tensor, lt_tensor** tensor, lt_error* err) {
  return guard(err, "lt_tensor_from_at", [&] {
    require_pointer(at_tensor, "at_tensor");
    require_pointer(tensor, "tensor");
    at::Tensor shared = *static_cast<const at::Tensor*>(at_tensor);
    require(shared.defined(), "at_tensor is undefined");
    *tensor = to_handle(std::move(shared));
  });
}

lt_status lt_tensor_to_at(const lt_tensor* tensor, void* at_tensor, lt_error* err) {
  return guard(err, "lt_tensor_to_at", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(at_tensor, "at_tensor");
    auto* target = static_cast<at::Tensor*>(at_tensor);
    // An undefined tensor points to an object that each copy of libc10 has one of.
    if (target->defined()) {
      fail(LT_UNSUPPORTED, "at_tensor names a tensor already, or is of another copy of libtorch than the one in use");
    }
    *target = *borrowed;
  });
}
