// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/core/Generator.h>

#include <mutex>

#include "handle.h"

using namespace lancetorch;

lt_status lt_random_state(lt_device device, lt_tensor** state, lt_error* err) {
  return guard(err, "lt_random_state", [&] {
    require_pointer(state, "state");
    at::Generator generator = at::globalContext().defaultGenerator(to_device(device));
    std::lock_guard<std::mutex> lock(generator.mutex());
    *state = to_handle(generator.get_state());
  });
}

lt_status lt_random_set_state(lt_device device, const lt_tensor* state, lt_error* err) {
  return guard(err, "lt_random_set_state", [&] {
    Borrowed value(state, "state");
    at::Generator generator = at::globalContext().defaultGenerator(to_device(device));
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(*value);
  });
}
