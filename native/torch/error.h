// SPDX-License-Identifier: Apache-2.0
//
// How the functions of torch.h fail: `guard` runs a body that may throw, and turns what it throws into an lt_error.
#ifndef LANCETORCH_TORCH_ERROR_H
#define LANCETORCH_TORCH_ERROR_H

#include <lancetorch/error.h>

#include <exception>
#include <string>
#include <utility>

namespace lancetorch {

// What our own checks throw.
class Failure final : public std::exception {
 public:
  Failure(lt_status code, std::string message) : code_(code), message_(std::move(message)) {}
  lt_status code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  lt_status code_;
  std::string message_;
};

[[noreturn]] void fail(lt_status code, std::string message);

// Fills `err` from the exception that is being handled: call it in a catch block alone. `where` comes first in the
// message.
lt_status report(lt_error* err, const char* where) noexcept;

inline lt_status succeed(lt_error* err) noexcept {
  if (err != nullptr) {
    err->code = LT_OK;
    err->detail = -1;
    err->message[0] = '\0';
  }
  return LT_OK;
}

// Runs `body`. Everything that can fail runs in it, before the first out-parameter is written.
template <typename Body>
lt_status guard(lt_error* err, const char* where, Body&& body) noexcept {
  try {
    body();
  } catch (...) {
    return report(err, where);
  }
  return succeed(err);
}

// Throws unless `condition` holds. The message is made only then.
template <typename Message>
inline void require(bool condition, Message&& message) {
  if (!condition) [[unlikely]] {
    fail(LT_INVALID_ARGUMENT, std::string(message));
  }
}

inline void require_pointer(const void* pointer, const char* name) {
  if (pointer == nullptr) [[unlikely]] {
    fail(LT_INVALID_ARGUMENT, std::string(name) + " is NULL");
  }
}

}  // namespace lancetorch

#endif
