// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <map>
#include <memory>
#include <string_view>
#include <type_traits>
#include <unordered_set>

#include "fused_optimizer.h"
#include "handle.h"

struct lt_optimizer {
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  bool is_adamw;
  bool fused = false;
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
  auto made = std::make_unique<lt_optimizer>(lt_optimizer{std::make_unique<Optimizer>(std::move(tensors), options),
                                                          std::is_same_v<Optimizer, torch::optim::AdamW>});
  count_handle(LT_TORCH_OPTIMIZER, 1);
  return made.release();
}

void require_learning_rate(double learning_rate) {
  require(std::isfinite(learning_rate) && learning_rate >= 0, "learning_rate must be 0 or more");
}

using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;
using torch::optim::OptimizerOptions;
using torch::optim::OptimizerParamState;
using torch::optim::SGDOptions;
using torch::optim::SGDParamState;
using State = std::decay_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;

// Calls visit(name, value) for each option, with the names of PyTorch's param_groups.
template <typename Visit>
void for_each_option(bool is_adamw, OptimizerOptions& options, Visit&& visit) {
  if (is_adamw) {
    auto& adamw = static_cast<AdamWOptions&>(options);
    visit("lr", adamw.lr());
    visit("beta1", std::get<0>(adamw.betas()));
    visit("beta2", std::get<1>(adamw.betas()));
    visit("eps", adamw.eps());
    visit("weight_decay", adamw.weight_decay());
    visit("amsgrad", adamw.amsgrad());
  } else {
    auto& sgd = static_cast<SGDOptions&>(options);
    visit("lr", sgd.lr());
    visit("momentum", sgd.momentum());
    visit("dampening", sgd.dampening());
    visit("weight_decay", sgd.weight_decay());
    visit("nesterov", sgd.nesterov());
  }
}

// Calls visit(name, tensor) for each tensor of a parameter's state, with the names of PyTorch's state_dict.
template <typename Visit>
void for_each_tensor(bool is_adamw, OptimizerParamState& state, Visit&& visit) {
  if (is_adamw) {
    auto& adamw = static_cast<AdamWParamState&>(state);
    visit("exp_avg", adamw.exp_avg());
    visit("exp_avg_sq", adamw.exp_avg_sq());
    visit("max_exp_avg_sq", adamw.max_exp_avg_sq());
  } else {
    visit("momentum_buffer", static_cast<SGDParamState&>(state).momentum_buffer());
  }
}

constexpr std::string_view kStep = "step";

std::unique_ptr<OptimizerParamState> empty_state(bool is_adamw) {
  if (is_adamw) {
    return std::make_unique<AdamWParamState>();
  }
  return std::make_unique<SGDParamState>();
}

[[noreturn]] void fail_unknown(const char* kind, std::string_view name, bool is_adamw) {
  fail(LT_INVALID_ARGUMENT,
       std::string(is_adamw ? "AdamW" : "SGD") + " has no " + kind + " \"" + std::string(name) + "\"");
}

void set_option(bool is_adamw, OptimizerOptions& options, std::string_view name, double value) {
  bool known = false;
  for_each_option(is_adamw, options, [&](std::string_view option, auto& target) {
    if (option == name) {
      require(std::isfinite(value), std::string(name) + " is not finite");
      target = static_cast<std::decay_t<decltype(target)>>(value);
      known = true;
    }
  });
  if (!known) {
    fail_unknown("option", name, is_adamw);
  }
}

// libtorch checks options where it makes an optimizer, and nowhere else.
void check_options(bool is_adamw, const OptimizerOptions& options, const at::Tensor& parameter) {
  require_learning_rate(options.get_lr());
  if (is_adamw) {
    torch::optim::AdamW({parameter}, static_cast<const AdamWOptions&>(options));
  } else {
    torch::optim::SGD({parameter}, static_cast<const SGDOptions&>(options));
  }
}

int64_t to_step(const at::Tensor& value, const std::string& where) {
  double step = value.numel() == 1 ? value.item<double>() : -1;
  require(step >= 0 && step <= 0x1p53 && step == std::floor(step), where + " is no number of steps");
  return static_cast<int64_t>(step);
}

void set_state(bool is_adamw, OptimizerParamState& state, std::string_view name, const at::Tensor& value,
               const at::Tensor& parameter, const std::string& where) {
  if (is_adamw && name == kStep) {
    static_cast<AdamWParamState&>(state).step(to_step(value, where));
    return;
  }
  bool known = false;
  for_each_tensor(is_adamw, state, [&](std::string_view tensor, at::Tensor& target) {
    if (tensor == name) {
      require(!target.defined(), where + " is there twice");
      require(value.layout() == c10::kStrided && value.sizes() == parameter.sizes(),
              where + " has not the shape of its parameter");
      target = value.detach().to(parameter.device(), parameter.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
      known = true;
    }
  });
  if (!known) {
    fail_unknown("state", name, is_adamw);
  }
}

void require_complete(const OptimizerParamState& state, bool has_step, bool amsgrad, const std::string& where) {
  const auto& adamw = static_cast<const AdamWParamState&>(state);
  require(has_step && adamw.exp_avg().defined() && adamw.exp_avg_sq().defined() &&
              (!amsgrad || adamw.max_exp_avg_sq().defined()),
          where + " lacks one of step, exp_avg, exp_avg_sq" + (amsgrad ? ", max_exp_avg_sq" : ""));
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
    if (optimizer->fused) {
      fused_step(*optimizer->optimizer, optimizer->is_adamw);
    } else {
      optimizer->optimizer->step();
    }
  });
}

lt_status lt_optimizer_set_fused(lt_optimizer* optimizer, int32_t fused, lt_error* err) {
  return guard(err, "lt_optimizer_set_fused", [&] {
    require_pointer(optimizer, "optimizer");
    for (const at::Tensor& parameter : optimizer->optimizer->param_groups().at(0).params()) {
      require(fused == 0 || parameter.is_floating_point(), "fused kernels are for floating point alone");
    }
    optimizer->fused = fused != 0;
  });
}

int32_t lt_optimizer_fused(const lt_optimizer* optimizer) { return optimizer != nullptr && optimizer->fused ? 1 : 0; }

lt_status lt_optimizer_unscale(lt_optimizer* optimizer, const lt_tensor* inverse_scale, lt_tensor* found_inf,
                               lt_error* err) {
  return guard(err, "lt_optimizer_unscale", [&] {
    require_pointer(optimizer, "optimizer");
    Borrowed factor(inverse_scale, "inverse_scale");
    Borrowed found(found_inf, "found_inf");
    for (const at::Tensor* value : {&*factor, &*found}) {
      require(value->numel() == 1 && value->scalar_type() == at::kFloat,
              "inverse_scale and found_inf are of one float32");
    }
    std::map<c10::ScalarType, std::vector<at::Tensor>> grads;
    for (const at::Tensor& parameter : optimizer->optimizer->param_groups().at(0).params()) {
      const at::Tensor& grad = parameter.grad();
      if (grad.defined()) {
        require(grad.device() == factor->device() && grad.device() == found->device(),
                "inverse_scale and found_inf are not on the device of the gradients");
        grads[grad.scalar_type()].push_back(grad.detach());
      }
    }
    at::Tensor target = *found;
    for (auto& [dtype, list] : grads) {
      at::_amp_foreach_non_finite_check_and_unscale_(list, target, *factor);
    }
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

lt_status lt_optimizer_option(const lt_optimizer* optimizer, const char* name, double* value, lt_error* err) {
  return guard(err, "lt_optimizer_option", [&] {
    require_pointer(optimizer, "optimizer");
    require_pointer(name, "name");
    require_pointer(value, "value");
    bool known = false;
    for_each_option(optimizer->is_adamw, optimizer->optimizer->param_groups().at(0).options(),
                    [&](std::string_view option, auto& held) {
                      if (option == name) {
                        *value = static_cast<double>(held);
                        known = true;
                      }
                    });
    if (!known) {
      fail_unknown("option", name, optimizer->is_adamw);
    }
  });
}

lt_status lt_optimizer_state(const lt_optimizer* optimizer, int64_t parameter, const char* name, lt_tensor** value,
                             lt_error* err) {
  return guard(err, "lt_optimizer_state", [&] {
    require_pointer(optimizer, "optimizer");
    require_pointer(name, "name");
    require_pointer(value, "value");
    const std::vector<at::Tensor>& parameters = optimizer->optimizer->param_groups().at(0).params();
    require(parameter >= 0 && parameter < static_cast<int64_t>(parameters.size()), "there is no such parameter");
    State& state = optimizer->optimizer->state();
    auto entry = state.find(parameters[parameter].unsafeGetTensorImpl());
    std::unique_ptr<OptimizerParamState> none = entry == state.end() ? empty_state(optimizer->is_adamw) : nullptr;
    OptimizerParamState& held = none ? *none : *entry->second;
    at::Tensor found;
    bool known = false;
    if (optimizer->is_adamw && name == kStep) {
      known = true;
      if (!none) {
        // float32, as in Python, for as long as that is exact.
        int64_t step = static_cast<AdamWParamState&>(held).step();
        found = at::scalar_tensor(step, step <= 1 << 24 ? at::kFloat : at::kDouble);
      }
    }
    for_each_tensor(optimizer->is_adamw, held, [&](std::string_view tensor, at::Tensor& kept) {
      if (tensor == name) {
        found = kept;
        known = true;
      }
    });
    if (!known) {
      fail_unknown("state", name, optimizer->is_adamw);
    }
    *value = found.defined() ? to_handle(std::move(found)) : nullptr;
  });
}

lt_status lt_optimizer_load(lt_optimizer* optimizer, const char* const* options, const double* option_values,
                            int64_t option_count, const int64_t* parameters, const char* const* names,
                            lt_tensor* const* values, int64_t count, lt_error* err) {
  return guard(err, "lt_optimizer_load", [&] {
    require_pointer(optimizer, "optimizer");
    require(option_count >= 0 && count >= 0, "a count is negative");
    if (option_count > 0) {
      require_pointer(options, "options");
      require_pointer(option_values, "option_values");
    }
    if (count > 0) {
      require_pointer(parameters, "parameters");
      require_pointer(names, "names");
    }
    std::vector<at::Tensor> held = retained_all(values, count, "values");
    bool is_adamw = optimizer->is_adamw;
    torch::optim::OptimizerParamGroup& group = optimizer->optimizer->param_groups().at(0);
    const std::vector<at::Tensor>& own = group.params();

    std::unique_ptr<OptimizerOptions> new_options = group.options().clone();
    for (int64_t i = 0; i < option_count; i++) {
      require_pointer(options[i], "an option's name");
      set_option(is_adamw, *new_options, options[i], option_values[i]);
    }
    check_options(is_adamw, *new_options, own.at(0));

    State new_state;
    std::unordered_set<int64_t> with_step;
    for (int64_t i = 0; i < count; i++) {
      require_pointer(names[i], "a name");
      int64_t index = parameters[i];
      std::string where = "state " + std::to_string(index) + "." + names[i];
      require(index >= 0 && index < static_cast<int64_t>(own.size()), where + " is of no parameter");
      auto& state = new_state[own[index].unsafeGetTensorImpl()];
      if (!state) {
        state = empty_state(is_adamw);
      }
      set_state(is_adamw, *state, names[i], held[i], own[index], where);
      if (names[i] == kStep) {
        require(with_step.insert(index).second, where + " is there twice");
      }
    }
    for (size_t i = 0; is_adamw && i < own.size(); i++) {
      auto entry = new_state.find(own[i].unsafeGetTensorImpl());
      if (entry != new_state.end()) {
        require_complete(*entry->second, with_step.count(static_cast<int64_t>(i)) > 0,
                         static_cast<const AdamWOptions&>(*new_options).amsgrad(), "state " + std::to_string(i));
      }
    }
    group.set_options(std::move(new_options));
    optimizer->optimizer->state() = std::move(new_state);
  });
}

void lt_optimizer_release(lt_optimizer* optimizer) {
  if (optimizer != nullptr) {
    count_handle(LT_TORCH_OPTIMIZER, -1);
    delete optimizer;
  }
}
