// SPDX-License-Identifier: Apache-2.0
//
// Streams and events of any device, through c10's device-generic guards. The CPU's guard has neither, so here the CPU
// does its work at once: a stream has nothing left to do, and an event is complete once recorded.
#include "device.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/headeronly/version.h>

#include <memory>
#include <optional>

#include "handle.h"

struct lt_stream {
  c10::Stream stream;
};

struct lt_event {
  c10::Device device;
  bool timing;
  std::optional<c10::Event> event;  // none on the CPU
  bool recorded = false;
};

using namespace lancetorch;

namespace {

bool known_type(int32_t type) { return type >= 0 && type < c10::COMPILE_TIME_MAX_DEVICE_TYPES; }

bool on_cpu(const lt_stream& stream) { return stream.stream.device_type() == c10::kCPU; }

c10::impl::VirtualGuardImpl guard_of(c10::DeviceType type) { return c10::impl::VirtualGuardImpl(type); }

lt_stream* to_handle(c10::Stream stream) {
  auto made = std::make_unique<lt_stream>(lt_stream{stream});
  count_handle(LT_TORCH_STREAM, 1);
  return made.release();
}

c10::Stream cpu_stream() { return c10::Stream(c10::Stream::DEFAULT, c10::Device(c10::kCPU)); }

void require_same_device(const lt_event& event, const lt_stream& stream) {
  if (event.device.type() != stream.stream.device_type()) {
    fail(LT_INVALID_ARGUMENT,
         "the event is of " + event.device.str() + ", the stream of " + stream.stream.device().str());
  }
}

// What libtorch says of a driver or device that is not there, in one line.
[[noreturn]] void fail_missing(const c10::Device& device, std::string_view reason) {
  std::string line(reason.substr(0, reason.find('\n')));
  fail(LT_UNSUPPORTED, "no device " + device.str() + " here: " + line);
}

}  // namespace

namespace lancetorch {

c10::Device available(lt_device named) {
  c10::Device device = to_device(named);
  if (device.is_cpu()) {
    return c10::Device(c10::kCPU);
  }
  if (!c10::impl::hasDeviceGuardImpl(device.type())) {
    fail(LT_UNSUPPORTED, "no device " + device.str() + " here: this libtorch, " TORCH_VERSION ", was built without " +
                             c10::DeviceTypeName(device.type()) +
                             "; ./lancetorch build --libtorch DIR compiles for one that has it");
  }
  try {
    // Unlike a count of devices, this tells why there are none.
    at::globalContext().lazyInitDevice(device.type());
  } catch (const c10::Error& error) {
    fail_missing(device, error.what_without_backtrace());
  }
  int32_t count = lt_device_count(named.type);
  if (count == 0 || device.index() >= count) {
    fail_missing(device, "there are " + std::to_string(count));
  }
  return device.has_index() ? device : guard_of(device.type()).getDevice();
}

}  // namespace lancetorch

int32_t lt_device_count(int32_t type) {
  if (type == LT_DEVICE_CPU) {
    return 1;
  }
  if (!known_type(type) || !c10::impl::hasDeviceGuardImpl(static_cast<c10::DeviceType>(type))) {
    return 0;
  }
  return guard_of(static_cast<c10::DeviceType>(type)).deviceCount();
}

lt_status lt_device_require(lt_device device, lt_error* err) {
  return guard(err, "lt_device_require", [&] { (void)available(device); });
}

lt_status lt_device_synchronize(lt_device device, lt_error* err) {
  return guard(err, "lt_device_synchronize", [&] {
    c10::Device there = available(device);
    if (!there.is_cpu()) {
      guard_of(there.type()).synchronizeDevice(there.index());
    }
  });
}

lt_status lt_stream_current(lt_device device, lt_stream** stream, lt_error* err) {
  return guard(err, "lt_stream_current", [&] {
    require_pointer(stream, "stream");
    c10::Device there = available(device);
    *stream = to_handle(there.is_cpu() ? cpu_stream() : guard_of(there.type()).getStream(there));
  });
}

lt_status lt_stream_create(lt_device device, int32_t high_priority, lt_stream** stream, lt_error* err) {
  return guard(err, "lt_stream_create", [&] {
    require_pointer(stream, "stream");
    c10::Device there = available(device);
    *stream = to_handle(there.is_cpu() ? cpu_stream()
                                       : guard_of(there.type()).getStreamFromGlobalPool(there, high_priority != 0));
  });
}

lt_status lt_stream_set_current(const lt_stream* stream, lt_error* err) {
  return guard(err, "lt_stream_set_current", [&] {
    require_pointer(stream, "stream");
    if (!on_cpu(*stream)) {
      guard_of(stream->stream.device_type()).exchangeStream(stream->stream);
    }
  });
}

lt_status lt_stream_synchronize(const lt_stream* stream, lt_error* err) {
  return guard(err, "lt_stream_synchronize", [&] {
    require_pointer(stream, "stream");
    if (!on_cpu(*stream)) {
      stream->stream.synchronize();
    }
  });
}

lt_status lt_stream_query(const lt_stream* stream, int32_t* done, lt_error* err) {
  return guard(err, "lt_stream_query", [&] {
    require_pointer(stream, "stream");
    require_pointer(done, "done");
    *done = on_cpu(*stream) || stream->stream.query() ? 1 : 0;
  });
}

lt_status lt_stream_record_tensor(const lt_stream* stream, const lt_tensor* tensor, lt_error* err) {
  return guard(err, "lt_stream_record_tensor", [&] {
    require_pointer(stream, "stream");
    Borrowed borrowed(tensor, "tensor");
    // Memory of the host is nobody's to reuse before its last reference is gone.
    if (!on_cpu(*stream) && !borrowed->is_cpu()) {
      borrowed->record_stream(stream->stream);
    }
  });
}

void lt_stream_release(lt_stream* stream) {
  if (stream != nullptr) {
    count_handle(LT_TORCH_STREAM, -1);
    delete stream;
  }
}

lt_status lt_event_create(lt_device device, int32_t timing, lt_event** event, lt_error* err) {
  return guard(err, "lt_event_create", [&] {
    require_pointer(event, "event");
    auto made = std::make_unique<lt_event>(lt_event{available(device), timing != 0, std::nullopt});
    if (!made->device.is_cpu()) {
      // BACKEND_DEFAULT is the flag with which events keep the time.
      made->event.emplace(made->device.type(),
                          timing != 0 ? c10::EventFlag::BACKEND_DEFAULT : c10::EventFlag::PYTORCH_DEFAULT);
    }
    count_handle(LT_TORCH_EVENT, 1);
    *event = made.release();
  });
}

lt_status lt_event_record(lt_event* event, const lt_stream* stream, lt_error* err) {
  return guard(err, "lt_event_record", [&] {
    require_pointer(event, "event");
    require_pointer(stream, "stream");
    require_same_device(*event, *stream);
    if (event->event.has_value()) {
      event->event->record(stream->stream);
    }
    event->recorded = true;
  });
}

lt_status lt_event_block(const lt_event* event, const lt_stream* stream, lt_error* err) {
  return guard(err, "lt_event_block", [&] {
    require_pointer(event, "event");
    require_pointer(stream, "stream");
    require_same_device(*event, *stream);
    if (event->event.has_value()) {
      event->event->block(stream->stream);
    }
  });
}

lt_status lt_event_query(const lt_event* event, int32_t* done, lt_error* err) {
  return guard(err, "lt_event_query", [&] {
    require_pointer(event, "event");
    require_pointer(done, "done");
    *done = !event->event.has_value() || event->event->query() ? 1 : 0;
  });
}

lt_status lt_event_synchronize(const lt_event* event, lt_error* err) {
  return guard(err, "lt_event_synchronize", [&] {
    require_pointer(event, "event");
    if (event->event.has_value()) {
      event->event->synchronize();
    }
  });
}

lt_status lt_event_elapsed(const lt_event* begin, const lt_event* end, double* milliseconds, lt_error* err) {
  return guard(err, "lt_event_elapsed", [&] {
    require_pointer(begin, "begin");
    require_pointer(end, "end");
    require_pointer(milliseconds, "milliseconds");
    if (!begin->event.has_value() || !end->event.has_value()) {
      fail(LT_UNSUPPORTED, "events of the CPU keep no time");
    }
    require(begin->timing && end->timing, "both events must be made with timing");
    require(begin->recorded && end->recorded, "both events must be recorded first");
    *milliseconds = begin->event->elapsedTime(*end->event);
  });
}

void lt_event_release(lt_event* event) {
  if (event != nullptr) {
    count_handle(LT_TORCH_EVENT, -1);
    delete event;
  }
}
