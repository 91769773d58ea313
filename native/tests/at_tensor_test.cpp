// SPDX-License-Identifier: Apache-2.0
//
// Goes through the part of torch.h that is for C++ code over the same libtorch.
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <lancetorch/torch.h>

#undef CHECK  // c10's
#include "check.h"

namespace {

void test_from_at() {
  lt_error err;
  at::Tensor made = at::ones({2, 3}).set_requires_grad(true);
  lt_tensor* handle = nullptr;
  CHECK_OK(lt_tensor_from_at(&made, &handle, &err));
  CHECK(lt_torch_live_handles(LT_TORCH_TENSOR) == 1 && made.use_count() == 2);
  lt_tensor_info info;
  CHECK_OK(lt_tensor_info_get(handle, &info, &err));
  CHECK(info.data == made.data_ptr() && info.element_count == 6 && lt_tensor_requires_grad(handle) == 1);

  lt_tensor* untouched = handle;
  at::Tensor undefined;
  CHECK_FAILS(LT_INVALID_ARGUMENT, "undefined", lt_tensor_from_at(&undefined, &handle, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "at_tensor is NULL", lt_tensor_from_at(nullptr, &handle, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL", lt_tensor_from_at(&made, nullptr, &err));
  CHECK(handle == untouched);

  // The handle keeps the tensor.
  made = at::Tensor();
  CHECK_OK(lt_tensor_info_get(handle, &info, &err));
  CHECK(static_cast<float*>(info.data)[5] == 1);
  lt_tensor_release(handle);
}

void test_to_at() {
  lt_error err;
  int64_t shape[] = {3};
  lt_tensor* handle = nullptr;
  CHECK_OK(lt_tensor_empty(shape, 1, LT_DTYPE_INT64, {LT_DEVICE_CPU, -1}, LT_MEMORY_CONTIGUOUS, 0, &handle, &err));
  lt_tensor_info info;
  CHECK_OK(lt_tensor_info_get(handle, &info, &err));
  at::Tensor target;
  CHECK_OK(lt_tensor_to_at(handle, &target, &err));
  CHECK(target.data_ptr() == info.data && target.use_count() == 2);

  // One that names a tensor, or whose undefined tensor is another libtorch's, stays as it is.
  CHECK_FAILS(LT_UNSUPPORTED, "another copy", lt_tensor_to_at(handle, &target, &err));
  CHECK(target.use_count() == 2);
  int64_t elsewhere = 0;
  void* foreign = &elsewhere;
  CHECK_FAILS(LT_UNSUPPORTED, "another copy", lt_tensor_to_at(handle, &foreign, &err));
  CHECK(foreign == &elsewhere);
  CHECK_FAILS(LT_INVALID_ARGUMENT, "at_tensor is NULL", lt_tensor_to_at(handle, nullptr, &err));
  CHECK_FAILS(LT_INVALID_ARGUMENT, "tensor is NULL", lt_tensor_to_at(nullptr, &target, &err));

  lt_tensor_release(handle);
  CHECK(lt_torch_live_handles(LT_TORCH_TENSOR) == 0 && target.use_count() == 1 && target.numel() == 3);
}

}  // namespace

int main() {
  test_from_at();
  test_to_at();
  CHECK(lt_torch_live_handles(LT_TORCH_TENSOR) == 0);
  return 0;
}
