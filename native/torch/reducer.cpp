// SPDX-License-Identifier: Apache-2.0
//
// What Python's DistributedDataParallel does around c10d::Reducer, without the module.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <memory>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "handle.h"
#include "process_group.h"

struct lt_reducer {
  std::unique_ptr<c10d::Reducer> reducer;
};

using namespace lancetorch;

namespace {

#define LANCETORCH_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

// verify_params_across_processes compares with rank 0, which itself sees no difference: one more exchange, so that all
// ranks fail together and none goes on alone.
void verify(const lt_process_group& group, const std::vector<at::Tensor>& parameters) {
  std::exception_ptr difference;
  try {
    c10d::verify_params_across_processes(group.group, parameters, std::nullopt);
  } catch (const c10::Error& error) {
    if (dynamic_cast<const c10::DistError*>(&error) != nullptr) {
      throw;
    }
    difference = std::current_exception();
  }
  std::vector<at::Tensor> same{at::scalar_tensor(difference == nullptr ? 1.0 : 0.0, at::kFloat)};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::MIN;
  group.backend->allreduce(same, options)->wait();
  if (difference != nullptr) {
    std::rethrow_exception(difference);
  }
  require(same[0].item().toDouble() == 1.0, "the parameters of another rank differ from this one's in number or shape");
}

}  // namespace

lt_status lt_reducer_create(lt_process_group* group, lt_tensor* const* parameters, int64_t count, int64_t bucket_bytes,
                            int64_t first_bucket_bytes, int32_t find_unused_parameters, lt_reducer** reducer,
                            lt_error* err) {
  return guard(err, "lt_reducer_create", [&] {
    require_pointer(group, "group");
    require_pointer(reducer, "reducer");
    require(count > 0, "a reducer needs parameters");
    require(bucket_bytes >= 0 && first_bucket_bytes >= 0, "a size of buckets is negative");
    std::vector<at::Tensor> tensors = retained_all(parameters, count, "parameters");
    for (int64_t i = 0; i < count; i++) {
      if (!tensors[i].is_leaf() || !tensors[i].requires_grad()) {
        fail(LT_INVALID_ARGUMENT, "parameters[" + std::to_string(i) + "] is no leaf with requires_grad");
      }
    }
    int64_t cap = bucket_bytes == 0 ? c10d::kDefaultBucketBytesCap : bucket_bytes;
    int64_t first_cap = first_bucket_bytes == 0 ? c10d::kDefaultFirstBucketBytes : first_bucket_bytes;
    verify(*group, tensors);

    std::vector<bool> sparse(tensors.size(), false);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
        tensors, {static_cast<size_t>(first_cap), static_cast<size_t>(cap)}, sparse);
    // Gradients come from the last layer to the first.
    std::reverse(buckets.begin(), buckets.end());
    std::unordered_map<size_t, std::string> names;
    for (size_t i = 0; i < tensors.size(); i++) {
      names.emplace(i, "parameters[" + std::to_string(i) + "]");
    }
    auto made = std::make_unique<lt_reducer>();
    made->reducer = std::make_unique<c10d::Reducer>(std::move(tensors), std::move(buckets), group->group,
                                                    std::move(sparse), cap, find_unused_parameters != 0,
                                                    // The gradients lie in the buckets: none is copied back.
                                                    /*gradient_as_bucket_view=*/true, std::move(names), first_cap,
                                                    /*skip_all_reduce_unused_params=*/false,
                                                    /*use_python_reducer=*/false
#if LANCETORCH_TORCH_AT_LEAST(2, 11)
                                                    ,
                                                    /*bucket_bytes_cap_list=*/std::vector<int64_t>{first_cap, cap}
#endif
#if LANCETORCH_TORCH_AT_LEAST(2, 13)
                                                    ,
                                                    /*batched_grad_copy=*/false
#endif
    );
    count_handle(LT_TORCH_REDUCER, 1);
    *reducer = made.release();
  });
}

lt_status lt_reducer_prepare_forward(lt_reducer* reducer, lt_error* err) {
  return guard(err, "lt_reducer_prepare_forward", [&] {
    require_pointer(reducer, "reducer");
    if (!at::GradMode::is_enabled()) {
      return;  // nothing will be averaged
    }
    reducer->reducer->prepare_for_forward();
    // After the first step: buckets in the order in which the gradients came. Does nothing later.
    reducer->reducer->rebuild_buckets();
  });
}

lt_status lt_reducer_prepare_backward(lt_reducer* reducer, lt_tensor* const* outputs, int64_t count, lt_error* err) {
  return guard(err, "lt_reducer_prepare_backward", [&] {
    require_pointer(reducer, "reducer");
    reducer->reducer->prepare_for_backward(retained_all(outputs, count, "outputs"));
  });
}

void lt_reducer_release(lt_reducer* reducer) {
  if (reducer != nullptr) {
    count_handle(LT_TORCH_REDUCER, -1);
    (void)guard(nullptr, "lt_reducer_release", [&] { reducer->reducer.reset(); });
    delete reducer;
  }
}
