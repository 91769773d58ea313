// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <c10/core/StorageImpl.h>
#include <c10/core/TensorImpl.h>

#include <array>
#include <cstdint>

#include "handle.h"

using namespace lancetorch;

namespace {

// What runs when the storage dies. Until the tensor is whole it is not armed: a call that fails leaves the memory with
// the caller.
struct Wrapped {
  lt_deleter deleter;
  void* context;
  int64_t bytes;
  bool armed = false;

  static void run(void* self) {
    auto* wrapped = static_cast<Wrapped*>(self);
    if (wrapped->armed) {
      live_bytes.value.fetch_sub(wrapped->bytes, std::memory_order_relaxed);
      if (wrapped->deleter != nullptr) {
        wrapped->deleter(wrapped->context);
      }
    }
    delete wrapped;
  }
};

// From the first byte to behind the last one that an element has; 0 for a tensor without elements.
int64_t span_in_bytes(c10::IntArrayRef sizes, c10::IntArrayRef strides, int64_t element_size) {
  int64_t elements = 1;  // their number, to see that it fits
  int64_t last = 0;      // the index of the last one in memory
  bool overflows = false;
  bool none = false;
  for (size_t i = 0; i < sizes.size(); i++) {
    if (sizes[i] == 0) {
      none = true;
      continue;
    }
    int64_t reach = 0;
    overflows = overflows || __builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) ||
                __builtin_add_overflow(last, reach, &last) || __builtin_mul_overflow(elements, sizes[i], &elements);
  }
  if (none) {
    return 0;
  }
  int64_t bytes = 0;
  overflows = overflows || __builtin_add_overflow(last, 1, &last) || __builtin_mul_overflow(last, element_size, &bytes);
  require(!overflows, "the shape takes more than 2^63 bytes");
  return bytes;
}

}  // namespace

lt_status lt_tensor_from_memory(void* data, const int64_t* shape, const int64_t* strides, int32_t dimensions,
                                int32_t dtype, lt_deleter deleter, void* context, lt_tensor** tensor, lt_error* err) {
  return guard(err, "lt_tensor_from_memory", [&] {
    require_pointer(tensor, "tensor");
    c10::IntArrayRef sizes = to_sizes(shape, dimensions);
    c10::ScalarType type = to_dtype(dtype);
    auto element_size = static_cast<int64_t>(c10::elementSize(type));

    std::array<int64_t, 64> steps;
    if (strides != nullptr) {
      for (int32_t i = 0; i < dimensions; i++) {
        if (strides[i] < 0) {
          fail(LT_INVALID_ARGUMENT, "strides[" + std::to_string(i) + "] is negative: " + std::to_string(strides[i]));
        }
        steps[i] = strides[i];
      }
    } else {
      int64_t step = 1;
      for (int32_t i = dimensions - 1; i >= 0; i--) {
        steps[i] = step;
        require(!__builtin_mul_overflow(step, std::max<int64_t>(shape[i], 1), &step),
                "the shape takes more than 2^63 bytes");
      }
    }
    c10::IntArrayRef all_strides(steps.data(), static_cast<size_t>(dimensions));
    int64_t bytes = span_in_bytes(sizes, all_strides, element_size);
    require(data != nullptr || bytes == 0, "data is NULL, and the shape has elements");
    if (bytes > 0 && reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(element_size) != 0) {
      fail(LT_INVALID_ARGUMENT, "data is not aligned to the " + std::to_string(element_size) + " bytes of its dtype");
    }

    auto* wrapped = new Wrapped{deleter, context, bytes};
    at::DataPtr pointer(data, wrapped, &Wrapped::run, c10::Device(c10::kCPU));
    auto storage = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes, std::move(pointer),
                                                         /*allocator=*/nullptr, /*resizable=*/false);
    at::Tensor result = at::detail::make_tensor<c10::TensorImpl>(
        c10::Storage(std::move(storage)), c10::DispatchKeySet(c10::DispatchKey::CPU), c10::scalarTypeToTypeMeta(type));
    result.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, all_strides);
    wrapped->armed = true;
    live_bytes.value.fetch_add(bytes, std::memory_order_relaxed);
    *tensor = to_handle(std::move(result));
  });
}
