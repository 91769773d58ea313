// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <memory>
#include <unordered_set>

#include "handle.h"

struct lt_optimizer {
  std::unique_ptr<torch::optim::Optimizer> optimizer;
};

using namespace lancetorch;

namespace {

template <typename Optimizer, typename Options>
lt_optimizer* make(lt_tensor* const* parameters, int64_t count, const Options& options) {
  require(count > 0, "an optimizer needs parameters");
  std::vector<at::Tensor> tensors = retained_all(parameters, count, "parameters");
  std::unordered_set<const c10::TensorImpl*> seen;
  for (int64_t i = 0; i < count; i++) {
    if (!tensors[i].is_leaf()) {
      fail(LT_INVALID_ARGUMENT, "parameters[" + std::to_string(i) + "] is not a leaf");
    }
    if (!seen.insert(tensors[i].unsafeGetTensorImpl()).second) {
      fail(LT_INVALID_ARGUMENT, "parameters[" + std::to_string(i) + "] is there twice");
    }
  }
  auto made = std::make_unique<lt_optimizer>(lt_optimizer{std::make_unique<Optimizer>(std::move(tensors), options)});
  count_handle(LT_TORCH_OPTIMIZER, 1);
  return made.release();
}

void require_learning_rate(double learning_rate) {
  require(std::isfinite(learning_rate) && learning_rate >= 0, "learning_rate must be 0 or more");
}

}  // namespace

lt_status lt_optimizer_sgd(lt_tensor* const* parameters, int64_t count, double learning_rate, double momentum,
                           double dampening, double weight_decay, int32_t nesterov, lt_optimizer** optimizer,
                           lt_error* err) {
  return guard(err, "lt_optimizer_sgd", [&] {
    require_pointer(optimizer, "optimizer");
    require_learning_rate(learning_rate);
    require(nesterov == 0 || (momentum > 0 && dampening == 0), "nesterov needs a momentum and no dampening");
    *optimizer = make<torch::optim::SGD>(parameters, count,
                                         torch::optim::SGDOptions(learning_rate)
                                             .momentum(momentum)
                                             .dampening(dampening)
                                             .weight_decay(weight_decay)
                                             .nesterov(nesterov != 0));
  });
}

lt_status lt_optimizer_adamw(lt_tensor* const* parameters, int64_t count, double learning_rate, double beta1,
                             double beta2, double epsilon, double weight_decay, int32_t amsgrad,
                             lt_optimizer** optimizer, lt_error* err) {
  return guard(err, "lt_optimizer_adamw", [&] {
    require_pointer(optimizer, "optimizer");
    require_learning_rate(learning_rate);
    *optimizer = make<torch::optim::AdamW>(parameters, count,
                                           torch::optim::AdamWOptions(learning_rate)
                                               .betas({beta1, beta2})
                                               .eps(epsilon)
                                               .weight_decay(weight_decay)
                                               .amsgrad(amsgrad != 0));
  });
}

lt_status lt_optimizer_step(lt_optimizer* optimizer, lt_error* err) {
  return guard(err, "lt_optimizer_step", [&] {
    require_pointer(optimizer, "optimizer");
    optimizer->optimizer->step();
  });
}

lt_status lt_optimizer_zero_grad(lt_optimizer* optimizer, int32_t set_to_none, lt_error* err) {
  return guard(err, "lt_optimizer_zero_grad", [&] {
    require_pointer(optimizer, "optimizer");
    // As Python's zero_grad. The C++ one calls detach_() first, which refuses a gradient that is a view of a Reducer's
    // bucket.
    for (torch::optim::OptimizerParamGroup& group : optimizer->optimizer->param_groups()) {
      for (at::Tensor& parameter : group.params()) {
        at::Tensor& grad = parameter.mutable_grad();
        if (!grad.defined()) {
          continue;
        }
        if (set_to_none != 0) {
          grad.reset();
        } else if (grad.grad_fn() != nullptr) {
          grad.detach_().zero_();
        } else {
          grad.requires_grad_(false).zero_();
        }
      }
    }
  });
}

lt_status lt_optimizer_set_learning_rate(lt_optimizer* optimizer, double learning_rate, lt_error* err) {
  return guard(err, "lt_optimizer_set_learning_rate", [&] {
    require_pointer(optimizer, "optimizer");
    require_learning_rate(learning_rate);
    for (torch::optim::OptimizerParamGroup& group : optimizer->optimizer->param_groups()) {
      group.options().set_lr(learning_rate);
    }
  });
}

lt_status lt_optimizer_learning_rate(const lt_optimizer* optimizer, double* learning_rate, lt_error* err) {
  return guard(err, "lt_optimizer_learning_rate", [&] {
    require_pointer(optimizer, "optimizer");
    require_pointer(learning_rate, "learning_rate");
    *learning_rate = optimizer->optimizer->param_groups().at(0).options().get_lr();
  });
}

void lt_optimizer_release(lt_optimizer* optimizer) {
  if (optimizer != nullptr) {
    count_handle(LT_TORCH_OPTIMIZER, -1);
    delete optimizer;
  }
}
