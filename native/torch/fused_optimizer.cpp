// SPDX-License-Identifier: Apache-2.0
#include "fused_optimizer.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <map>
#include <memory>
#include <tuple>
#include <vector>

namespace lancetorch {
namespace {

using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;
using torch::optim::Optimizer;
using torch::optim::SGDOptions;
using torch::optim::SGDParamState;

// The lists of one call of a kernel: parameters of one device and dtype that have had the same number of steps.
struct Batch {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> grads;
  std::vector<at::Tensor> first;   // momentum buffers, or averages of the gradient
  std::vector<at::Tensor> second;  // averages of its square
  std::vector<at::Tensor> largest;
};
using Key = std::tuple<c10::DeviceType, c10::DeviceIndex, c10::ScalarType, int64_t>;
using Batches = std::map<Key, Batch>;

Batch& batch_of(Batches& batches, const at::Tensor& parameter, int64_t steps) {
  c10::Device device = parameter.device();
  return batches[{device.type(), device.index(), parameter.scalar_type(), steps}];
}

template <typename State>
State& state_of(Optimizer& optimizer, const at::Tensor& parameter) {
  auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!state) {
    state = std::make_unique<State>();
  }
  return static_cast<State&>(*state);
}

// In the order of memory of its parameter, as the kernels want it; of a state, which lasts, it is made so for ever.
at::Tensor in_order(const at::Tensor& tensor, const at::Tensor& parameter) {
  return tensor.strides() == parameter.strides() ? tensor : at::empty_like(parameter).copy_(tensor);
}

void sgd_step(Optimizer& optimizer) {
  torch::optim::OptimizerParamGroup& group = optimizer.param_groups().at(0);
  const auto& options = static_cast<const SGDOptions&>(group.options());
  Batches batches;
  for (at::Tensor& parameter : group.params()) {
    if (!parameter.grad().defined()) {
      continue;
    }
    bool is_first = false;
    at::Tensor buffer;
    if (options.momentum() != 0) {
      auto& state = state_of<SGDParamState>(optimizer, parameter);
      is_first = !state.momentum_buffer().defined();
      state.momentum_buffer(is_first ? at::empty_like(parameter) : in_order(state.momentum_buffer(), parameter));
      buffer = state.momentum_buffer();
    }
    Batch& batch = batch_of(batches, parameter, is_first ? 0 : 1);
    batch.parameters.push_back(parameter);
    batch.grads.push_back(in_order(parameter.grad(), parameter));
    if (buffer.defined()) {
      batch.first.push_back(buffer);
    }
  }
  for (auto& [key, batch] : batches) {
    at::_fused_sgd_(batch.parameters, batch.grads, batch.first, options.weight_decay(), options.momentum(),
                    options.lr(), options.dampening(), options.nesterov(), /*maximize=*/false,
                    /*is_first_step=*/std::get<3>(key) == 0);
  }
}

void adamw_step(Optimizer& optimizer) {
  torch::optim::OptimizerParamGroup& group = optimizer.param_groups().at(0);
  const auto& options = static_cast<const AdamWOptions&>(group.options());
  Batches batches;
  for (at::Tensor& parameter : group.params()) {
    if (!parameter.grad().defined()) {
      continue;
    }
    auto& state = state_of<AdamWParamState>(optimizer, parameter);
    for (at::Tensor* average : {&state.exp_avg(), &state.exp_avg_sq()}) {
      *average = average->defined() ? in_order(*average, parameter) : at::zeros_like(parameter);
    }
    if (options.amsgrad()) {
      at::Tensor& largest = state.max_exp_avg_sq();
      largest = largest.defined() ? in_order(largest, parameter) : at::zeros_like(parameter);
    }
    state.step(state.step() + 1);
    Batch& batch = batch_of(batches, parameter, state.step());
    batch.parameters.push_back(parameter);
    batch.grads.push_back(in_order(parameter.grad(), parameter));
    batch.first.push_back(state.exp_avg());
    batch.second.push_back(state.exp_avg_sq());
    if (options.amsgrad()) {
      batch.largest.push_back(state.max_exp_avg_sq());
    }
  }
  for (auto& [key, batch] : batches) {
    at::Tensor step = at::full({}, static_cast<double>(std::get<3>(key)),
                               at::TensorOptions().dtype(at::kFloat).device(batch.parameters[0].device()));
    std::vector<at::Tensor> steps(batch.parameters.size(), step);
    at::_fused_adamw_(batch.parameters, batch.grads, batch.first, batch.second, batch.largest, steps, options.lr(),
                      std::get<0>(options.betas()), std::get<1>(options.betas()), options.weight_decay(), options.eps(),
                      options.amsgrad(), /*maximize=*/false);
  }
}

}  // namespace

void fused_step(Optimizer& optimizer, bool is_adamw) {
  at::NoGradGuard no_grad;
  if (is_adamw) {
    adamw_step(optimizer);
  } else {
    sgd_step(optimizer);
  }
}

}  // namespace lancetorch
