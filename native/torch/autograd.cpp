// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "handle.h"

using namespace lancetorch;

lt_status lt_tensor_set_requires_grad(lt_tensor* tensor, int32_t requires_grad, lt_error* err) {
  return guard(err, "lt_tensor_set_requires_grad", [&] {
    Borrowed borrowed(tensor, "tensor");
    require(borrowed->is_leaf(), "only a leaf's requires_grad may be changed; detach the tensor first");
    borrowed->set_requires_grad(requires_grad != 0);
  });
}

int32_t lt_tensor_requires_grad(const lt_tensor* tensor) {
  return tensor != nullptr && impl_of(tensor)->requires_grad() ? 1 : 0;
}

lt_status lt_tensor_backward(lt_tensor* tensor, const lt_tensor* gradient, int32_t retain_graph, lt_error* err) {
  return guard(err, "lt_tensor_backward", [&] {
    require_pointer(tensor, "tensor");
    std::vector<at::Tensor> gradients;
    if (gradient != nullptr) {
      gradients.push_back(retained(gradient));
    }
    torch::autograd::backward({retained(tensor)}, gradients, retain_graph != 0, /*create_graph=*/false);
  });
}

lt_status lt_tensor_grad(const lt_tensor* tensor, lt_tensor** grad, lt_error* err) {
  return guard(err, "lt_tensor_grad", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(grad, "grad");
    // Not Tensor::grad(), which warns on stderr for a tensor that is not a leaf.
    at::Tensor found = borrowed->unsafeGetTensorImpl()->grad();
    *grad = found.defined() ? to_handle(std::move(found)) : nullptr;
  });
}

lt_status lt_tensor_set_grad(lt_tensor* tensor, const lt_tensor* grad, lt_error* err) {
  return guard(err, "lt_tensor_set_grad", [&] {
    Borrowed borrowed(tensor, "tensor");
    if (grad == nullptr) {
      if (borrowed->unsafeGetTensorImpl()->grad().defined()) {
        borrowed->mutable_grad().reset();
      }
      return;
    }
    Borrowed value(grad, "grad");
    require(borrowed->is_leaf(), "only a leaf's gradient may be set");
    require(value->sizes() == borrowed->sizes(), "the gradient has another shape than the tensor");
    require(value->device() == borrowed->device(), "the gradient is on another device than the tensor");
    require(value->scalar_type() == borrowed->scalar_type(), "the gradient has another dtype than the tensor");
    require(value->unsafeGetTensorImpl() != borrowed->unsafeGetTensorImpl(), "a tensor cannot be its own gradient");
    borrowed->mutable_grad() = *value;
  });
}

lt_status lt_tensor_detach(const lt_tensor* tensor, lt_tensor** detached, lt_error* err) {
  return guard(err, "lt_tensor_detach", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(detached, "detached");
    *detached = to_handle(borrowed->detach());
  });
}

int32_t lt_grad_mode_set(int32_t enabled) {
  bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(enabled != 0);
  return before ? 1 : 0;
}

int32_t lt_grad_mode(void) { return at::GradMode::is_enabled() ? 1 : 0; }
