// SPDX-License-Identifier: Apache-2.0
#include "error.h"

#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/exception.h>

#include <stdexcept>
// gloo's header uses std::runtime_error without including it.
#include <gloo/common/error.h>
#include <gloo/common/logging.h>

#include <cstring>
#include <new>
#include <string_view>
#include <system_error>

namespace lancetorch {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool tells_of_timeout(std::string_view text) {
  return contains(text, "imed out") || contains(text, "imeout") || contains(text, "ETIMEDOUT");
}

bool tells_of_lost_peer(std::string_view text) {
  for (std::string_view part :
       {"onnection closed", "onnection reset", "onnection refused", "onnection was likely closed", "roken pipe",
        "ECONNRESET", "EPIPE", "closed by peer", "Socket closed"}) {
    if (contains(text, part)) {
      return true;
    }
  }
  return false;
}

bool tells_of_exhausted_memory(std::string_view text) {
  return contains(text, "can't allocate memory") || contains(text, "not enough memory") ||
         contains(text, "out of memory");
}

// What libtorch says, in errors of no class of their own, of a device that its build or the machine has not.
bool tells_of_missing_device(std::string_view text) {
  for (std::string_view part : {"not linked with support for", "not compiled with CUDA", "without ATen_cuda library",
                                "no NVIDIA driver", "CUDA driver version is insufficient", "No CUDA GPUs are available",
                                "no CUDA-capable device", "Cannot initialize CUDA"}) {
    if (contains(text, part)) {
      return true;
    }
  }
  return false;
}

// For errors that come from the network: a deadline, a lost peer, or whatever else it can be there.
lt_status network_code(std::string_view text, lt_status otherwise) {
  if (tells_of_timeout(text)) {
    return LT_TIMEOUT;
  }
  return tells_of_lost_peer(text) ? LT_PEER_FAILED : otherwise;
}

lt_status write(lt_error* err, lt_status code, std::string_view where, std::string_view what) noexcept {
  if (err == nullptr) {
    return code;
  }
  err->code = code;
  err->detail = -1;
  std::size_t used = 0;
  for (std::string_view part : {where, std::string_view(": "), what}) {
    std::size_t length = std::min(part.size(), LT_ERROR_MESSAGE_SIZE - 1 - used);
    // Not within a character: bytes that continue one have the top bits 10.
    while (length < part.size() && length > 0 && (static_cast<unsigned char>(part[length]) & 0xC0) == 0x80) {
      length--;
    }
    std::memcpy(err->message + used, part.data(), length);
    used += length;
    if (length < part.size()) {
      break;
    }
  }
  while (used > 0 && (err->message[used - 1] == '\n' || err->message[used - 1] == ' ')) {
    used--;
  }
  err->message[used] = '\0';
  return code;
}

lt_status code_of(const c10::Error& error, std::string_view text) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || tells_of_exhausted_memory(text)) {
    return LT_OUT_OF_MEMORY;
  }
  if (dynamic_cast<const c10d::TimeoutError*>(&error) != nullptr) {
    return LT_TIMEOUT;
  }
  if (dynamic_cast<const c10::DistError*>(&error) != nullptr) {
    return network_code(text, LT_IO);
  }
  if (dynamic_cast<const c10::NotImplementedError*>(&error) != nullptr || tells_of_missing_device(text)) {
    return LT_UNSUPPORTED;
  }
  if (contains(text, "INTERNAL ASSERT FAILED") || dynamic_cast<const c10::AcceleratorError*>(&error) != nullptr) {
    return LT_INTERNAL;
  }
  // Everything else is a TORCH_CHECK, with which libtorch refuses what it was given.
  return LT_INVALID_ARGUMENT;
}

}  // namespace

void fail(lt_status code, std::string message) { throw Failure(code, std::move(message)); }

lt_status report(lt_error* err, const char* where) noexcept {
  try {
    throw;
  } catch (const Failure& failure) {
    return write(err, failure.code(), where, failure.what());
  } catch (const c10::Error& error) {
    const char* text = error.what_without_backtrace();
    return write(err, code_of(error, text), where, text);
  } catch (const gloo::InvalidOperationException& error) {
    return write(err, LT_INVALID_ARGUMENT, where, error.what());
  } catch (const gloo::Exception& error) {
    return write(err, network_code(error.what(), LT_PEER_FAILED), where, error.what());
  } catch (const gloo::EnforceNotMet& error) {
    return write(err, network_code(error.what(), LT_IO), where, error.what());
  } catch (const std::bad_alloc&) {
    return write(err, LT_OUT_OF_MEMORY, where, "host memory is used up");
  } catch (const std::system_error& error) {
    return write(err, network_code(error.what(), LT_IO), where, error.what());
  } catch (const std::logic_error& error) {  // length_error, out_of_range, invalid_argument
    return write(err, LT_INVALID_ARGUMENT, where, error.what());
  } catch (const std::exception& error) {
    return write(err, LT_INTERNAL, where, error.what());
  } catch (...) {
    return write(err, LT_INTERNAL, where, "an exception that is no std::exception");
  }
}

}  // namespace lancetorch
