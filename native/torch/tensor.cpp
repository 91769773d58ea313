// SPDX-License-Identifier: Apache-2.0
#include <ATen/DeviceAccelerator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "handle.h"

namespace lancetorch {

constexpr int32_t kMaxDimensions = 64;

std::vector<at::Tensor> retained_all(lt_tensor* const* handles, int64_t count, const char* name) {
  require(count >= 0, "count is negative");
  if (count > 0) {
    require_pointer(handles, name);
  }
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (int64_t i = 0; i < count; i++) {
    if (handles[i] == nullptr) {
      fail(LT_INVALID_ARGUMENT, std::string(name) + "[" + std::to_string(i) + "] is NULL");
    }
    tensors.push_back(retained(handles[i]));
  }
  return tensors;
}

c10::ScalarType to_dtype(int64_t value) {
  switch (value) {
    case LT_DTYPE_UINT8:
    case LT_DTYPE_INT8:
    case LT_DTYPE_INT16:
    case LT_DTYPE_INT32:
    case LT_DTYPE_INT64:
    case LT_DTYPE_FLOAT16:
    case LT_DTYPE_FLOAT32:
    case LT_DTYPE_FLOAT64:
    case LT_DTYPE_BOOL:
    case LT_DTYPE_BFLOAT16:
    case LT_DTYPE_UINT16:
    case LT_DTYPE_UINT32:
    case LT_DTYPE_UINT64:
      return static_cast<c10::ScalarType>(value);
    default:
      fail(LT_INVALID_ARGUMENT, "no dtype has the number " + std::to_string(value));
  }
}

c10::Device to_device(lt_device device) {
  require(device.type >= 0 && device.type < c10::COMPILE_TIME_MAX_DEVICE_TYPES,
          "no device type has the number " + std::to_string(device.type));
  bool in_range = device.index >= -1 && device.index < (device.type == LT_DEVICE_CPU ? 1 : 128);
  require(in_range, "no device has the index " + std::to_string(device.index));
  return {static_cast<c10::DeviceType>(device.type), static_cast<c10::DeviceIndex>(device.index)};
}

c10::MemoryFormat to_memory_format(int64_t value) {
  require(value >= 0 && value < static_cast<int64_t>(c10::MemoryFormat::NumOptions),
          "no memory format has the number " + std::to_string(value));
  return static_cast<c10::MemoryFormat>(value);
}

c10::IntArrayRef to_sizes(const int64_t* shape, int32_t dimensions) {
  if (dimensions < 0 || dimensions > kMaxDimensions) {
    fail(LT_INVALID_ARGUMENT, "dimensions is " + std::to_string(dimensions) + ", not 0 to 64");
  }
  if (dimensions > 0) {
    require_pointer(shape, "shape");
  }
  for (int32_t i = 0; i < dimensions; i++) {
    if (shape[i] < 0) {
      fail(LT_INVALID_ARGUMENT, "shape[" + std::to_string(i) + "] is negative: " + std::to_string(shape[i]));
    }
  }
  return {shape, static_cast<size_t>(dimensions)};
}

}  // namespace lancetorch

using namespace lancetorch;

namespace {

bool has_accelerator() {
  std::optional<c10::DeviceType> type = at::getAccelerator(false);
  if (!type.has_value() || !c10::impl::hasDeviceGuardImpl(*type)) {
    return false;
  }
  return c10::impl::getDeviceGuardImpl(*type)->deviceCount() > 0;
}

}  // namespace

lt_status lt_tensor_empty(const int64_t* shape, int32_t dimensions, int32_t dtype, lt_device device,
                          int32_t memory_format, int32_t pinned, lt_tensor** tensor, lt_error* err) {
  return guard(err, "lt_tensor_empty", [&] {
    require_pointer(tensor, "tensor");
    c10::IntArrayRef sizes = to_sizes(shape, dimensions);
    require(memory_format == LT_MEMORY_CONTIGUOUS || memory_format == LT_MEMORY_CHANNELS_LAST,
            "memory_format is neither contiguous nor channels-last");
    require(memory_format != LT_MEMORY_CHANNELS_LAST || dimensions == 4, "channels-last needs 4 dimensions");
    if (pinned != 0) {
      require(device.type == LT_DEVICE_CPU, "pinned memory is the CPU's");
      if (!has_accelerator()) {
        fail(LT_UNSUPPORTED, "pinned memory needs an accelerator, and there is none");
      }
    }
    at::TensorOptions options =
        at::TensorOptions().dtype(to_dtype(dtype)).device(to_device(device)).pinned_memory(pinned != 0);
    *tensor = to_handle(at::empty(sizes, options, to_memory_format(memory_format)));
  });
}

lt_status lt_tensor_share(lt_tensor* tensor, lt_tensor** shared, lt_error* err) {
  return guard(err, "lt_tensor_share", [&] {
    require_pointer(tensor, "tensor");
    require_pointer(shared, "shared");
    *shared = to_handle(retained(tensor));
  });
}

void lt_tensor_release(lt_tensor* tensor) {
  if (tensor != nullptr) {
    release(tensor);
  }
}

void lt_tensor_release_all(lt_tensor* const* tensors, int64_t count) {
  for (int64_t i = 0; tensors != nullptr && i < count; i++) {
    lt_tensor_release(tensors[i]);
  }
}

lt_status lt_tensor_info_get(const lt_tensor* tensor, lt_tensor_info* info, lt_error* err) {
  return guard(err, "lt_tensor_info_get", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(info, "info");
    if (borrowed->layout() != c10::kStrided) {
      fail(LT_UNSUPPORTED, "a tensor without strides, such as a sparse one");
    }
    c10::Device device = borrowed->device();
    *info = {.dtype = static_cast<int32_t>(borrowed->scalar_type()),
             .dimensions = static_cast<int32_t>(borrowed->dim()),
             .device = {static_cast<int32_t>(device.type()), device.index()},
             .element_count = borrowed->numel(),
             .element_size = static_cast<int64_t>(borrowed->element_size()),
             .data = borrowed->data_ptr(),
             .shape = borrowed->sizes().data(),
             .strides = borrowed->strides().data()};
  });
}

lt_status lt_tensor_copy(lt_tensor* target, const lt_tensor* source, int32_t non_blocking, lt_error* err) {
  return guard(err, "lt_tensor_copy", [&] {
    Borrowed to(target, "target");
    Borrowed from(source, "source");
    to->copy_(*from, non_blocking != 0);
  });
}

lt_status lt_tensor_to(const lt_tensor* tensor, lt_device device, int32_t dtype, int32_t non_blocking, int32_t copy,
                       int32_t memory_format, lt_tensor** result, lt_error* err) {
  return guard(err, "lt_tensor_to", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(result, "result");
    c10::ScalarType to = dtype == -1 ? borrowed->scalar_type() : to_dtype(dtype);
    *result =
        to_handle(borrowed->to(to_device(device), to, non_blocking != 0, copy != 0, to_memory_format(memory_format)));
  });
}

lt_status lt_tensor_item(const lt_tensor* tensor, double* value, lt_error* err) {
  return guard(err, "lt_tensor_item", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(value, "value");
    *value = borrowed->item().toDouble();
  });
}

lt_status lt_tensor_item_int(const lt_tensor* tensor, int64_t* value, lt_error* err) {
  return guard(err, "lt_tensor_item_int", [&] {
    Borrowed borrowed(tensor, "tensor");
    require_pointer(value, "value");
    *value = borrowed->item().toLong();
  });
}

int64_t lt_tensor_storage_use_count(const lt_tensor* tensor) {
  if (tensor == nullptr || !impl_of(tensor)->has_storage()) {
    return -1;
  }
  return static_cast<int64_t>(impl_of(tensor)->unsafe_storage().use_count());
}
