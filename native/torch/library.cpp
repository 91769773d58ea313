// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include "handle.h"

namespace lancetorch {
LiveCount live_handles[kKinds];
LiveCount live_bytes;
}  // namespace lancetorch

using namespace lancetorch;

const char* lt_torch_built_version(void) { return TORCH_VERSION; }

int64_t lt_torch_live_handles(int32_t kind) {
  return kind < 0 || kind >= kKinds ? -1 : live_handles[kind].value.load(std::memory_order_relaxed);
}

int64_t lt_torch_live_bytes(void) { return live_bytes.value.load(std::memory_order_relaxed); }

lt_status lt_torch_set_num_threads(int32_t threads, lt_error* err) {
  return guard(err, "lt_torch_set_num_threads", [&] {
    require(threads >= 1, "threads must be 1 or more");
    at::set_num_threads(threads);
  });
}

int32_t lt_torch_num_threads(void) { return at::get_num_threads(); }

lt_status lt_torch_manual_seed(uint64_t seed, lt_error* err) {
  return guard(err, "lt_torch_manual_seed", [&] { at::manual_seed(seed); });
}

lt_status lt_torch_set_deterministic(int32_t enabled, int32_t warn_only, lt_error* err) {
  return guard(err, "lt_torch_set_deterministic", [&] {
    at::globalContext().setDeterministicAlgorithms(enabled != 0, enabled != 0 && warn_only != 0);
    at::globalContext().setDeterministicCuDNN(enabled != 0);
  });
}

int32_t lt_torch_deterministic(void) {
  const at::Context& context = at::globalContext();
  return context.deterministicAlgorithms() ? (context.deterministicAlgorithmsWarnOnly() ? 2 : 1) : 0;
}

lt_status lt_torch_set_cudnn_benchmark(int32_t enabled, lt_error* err) {
  return guard(err, "lt_torch_set_cudnn_benchmark", [&] { at::globalContext().setBenchmarkCuDNN(enabled != 0); });
}

int32_t lt_torch_cudnn_benchmark(void) { return at::globalContext().benchmarkCuDNN() ? 1 : 0; }

lt_status lt_torch_set_float32_precision(const char* precision, lt_error* err) {
  return guard(err, "lt_torch_set_float32_precision", [&] {
    require_pointer(precision, "precision");
    std::string name = precision;
    // libtorch only warns of a word that it does not know.
    require(name == "highest" || name == "high" || name == "medium",
            "no precision \"" + name + "\": there are highest, high and medium");
    at::globalContext().setFloat32MatmulPrecision(name);
    at::globalContext().setAllowTF32CuDNN(name != "highest");
  });
}
