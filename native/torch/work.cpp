// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

using namespace lancetorch;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace lancetorch {

lt_work* to_handle(c10::intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> tensors,
                   std::function<void()> last_step, bool in_stream) {
  auto made = std::make_unique<lt_work>(lt_work{std::move(work), std::move(tensors), std::move(last_step), in_stream});
  count_handle(LT_TORCH_WORK, 1);
  return made.release();
}

}  // namespace lancetorch

namespace {

[[noreturn]] void fail_under_way(int64_t timeout_milliseconds) {
  fail(LT_TIMEOUT, "the collective is still under way after " + std::to_string(timeout_milliseconds) + " ms");
}

// Work::wait with a timeout would break NCCL's communicator at its end. This one only looks.
void await_end(c10d::Work& work, int64_t timeout_milliseconds) {
  steady_clock::time_point end = steady_clock::now() + milliseconds(timeout_milliseconds);
  std::chrono::microseconds pause(10);
  while (!work.isCompleted()) {
    if (steady_clock::now() >= end) {
      fail_under_way(timeout_milliseconds);
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(1000));
  }
}

void wait_in_stream(c10d::Work& work, int64_t timeout_milliseconds) {
  if (timeout_milliseconds > 0) {
    await_end(work, timeout_milliseconds);
  }
  work.wait();
  // The watchdog's, which the wait of a stream does not throw.
  if (std::exception_ptr failure = work.exception()) {
    std::rethrow_exception(failure);
  }
}

void wait_in_thread(c10d::Work& work, int64_t timeout_milliseconds) {
  if (timeout_milliseconds <= 0) {
    work.wait();
    return;
  }
  // Work::wait tells its own timeout and the collective's apart by words alone.
  try {
    work.wait(milliseconds(timeout_milliseconds));
  } catch (...) {
    if (!work.isCompleted()) {
      fail_under_way(timeout_milliseconds);
    }
    throw;
  }
}

}  // namespace

lt_status lt_work_wait(lt_work* work, int64_t timeout_milliseconds, lt_error* err) {
  return guard(err, "lt_work_wait", [&] {
    require_pointer(work, "work");
    if (work->in_stream) {
      wait_in_stream(*work->work, timeout_milliseconds);
    } else {
      wait_in_thread(*work->work, timeout_milliseconds);
    }
    if (std::function<void()> last_step = std::exchange(work->last_step, nullptr)) {
      at::NoGradGuard no_grad;
      last_step();
    }
  });
}

lt_status lt_work_query(const lt_work* work, int32_t* done, lt_error* err) {
  return guard(err, "lt_work_query", [&] {
    require_pointer(work, "work");
    require_pointer(done, "done");
    *done = work->work->isCompleted() ? 1 : 0;
  });
}

void lt_work_release(lt_work* work) {
  if (work != nullptr) {
    count_handle(LT_TORCH_WORK, -1);
    delete work;
  }
}
