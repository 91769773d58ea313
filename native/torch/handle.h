// SPDX-License-Identifier: Apache-2.0
//
// An lt_tensor* IS a counted reference to a c10::TensorImpl: the address of the impl, with one count that belongs to
// the handle. So a handle costs no allocation of its own.
#ifndef LANCETORCH_TORCH_HANDLE_H
#define LANCETORCH_TORCH_HANDLE_H

#include <ATen/core/TensorBody.h>

// All else that is compiled here is hidden.
#pragma GCC visibility push(default)
#include <lancetorch/torch.h>
#pragma GCC visibility pop

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "error.h"

namespace lancetorch {

// Handles that are alive, by LT_TORCH_... kind. Each has a cache line of its own, as all threads count all the time.
struct alignas(64) LiveCount {
  std::atomic<int64_t> value{0};
};
constexpr int32_t kKinds = 8;
extern LiveCount live_handles[kKinds];
extern LiveCount live_bytes;

inline void count_handle(int32_t kind, int64_t difference) noexcept {
  live_handles[kind].value.fetch_add(difference, std::memory_order_relaxed);
}

using TensorPointer = c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

inline c10::TensorImpl* impl_of(const lt_tensor* handle) noexcept {
  return const_cast<c10::TensorImpl*>(reinterpret_cast<const c10::TensorImpl*>(handle));
}

// A new handle, which takes the tensor's reference over. The tensor is defined.
inline lt_tensor* to_handle(at::Tensor&& tensor) noexcept {
  count_handle(LT_TORCH_TENSOR, 1);
  return reinterpret_cast<lt_tensor*>(tensor.unsafeReleaseTensorImpl());
}

// The tensor behind a handle, for the length of a call, without touching its count.
class Borrowed final {
 public:
  Borrowed(const lt_tensor* handle, const char* name) {
    require_pointer(handle, name);
    tensor_ = at::Tensor(TensorPointer::reclaim(impl_of(handle)));
  }
  ~Borrowed() { (void)tensor_.unsafeReleaseTensorImpl(); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  const at::Tensor& operator*() const noexcept { return tensor_; }
  const at::Tensor* operator->() const noexcept { return &tensor_; }

 private:
  at::Tensor tensor_;
};

// A tensor of our own, with a count of its own. The handle is not NULL.
inline at::Tensor retained(const lt_tensor* handle) noexcept {
  c10::TensorImpl* impl = impl_of(handle);
  c10::raw::intrusive_ptr::incref(impl);
  return at::Tensor(TensorPointer::reclaim(impl));
}

// `count` tensors of our own; none of the handles may be NULL.
std::vector<at::Tensor> retained_all(lt_tensor* const* handles, int64_t count, const char* name);

// Gives the handle's reference back. Not NULL.
inline void release(lt_tensor* handle) noexcept {
  count_handle(LT_TORCH_TENSOR, -1);
  (void)TensorPointer::reclaim(impl_of(handle));
}

// Of integers that come from outside: throws LT_INVALID_ARGUMENT where they name nothing.
c10::ScalarType to_dtype(int64_t value);
c10::Device to_device(lt_device device);
c10::MemoryFormat to_memory_format(int64_t value);
// Checks a count of dimensions and the sizes.
c10::IntArrayRef to_sizes(const int64_t* shape, int32_t dimensions);

}  // namespace lancetorch

#endif
