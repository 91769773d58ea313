// SPDX-License-Identifier: Apache-2.0
#ifndef LANCETORCH_TORCH_WORK_H
#define LANCETORCH_TORCH_WORK_H

#include <ATen/core/Tensor.h>

#include <functional>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

#include "handle.h"

struct lt_work {
  c10::intrusive_ptr<c10d::Work> work;
  std::vector<at::Tensor> tensors;  // what the work reads or writes
  // What the first wait that succeeds has to do yet.
  std::function<void()> last_step;
  // NCCL's: the end is in a stream's order, and the thread that waits goes on.
  bool in_stream;
};

namespace lancetorch {

lt_work* to_handle(c10::intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> tensors,
                   std::function<void()> last_step, bool in_stream);

}  // namespace lancetorch

#endif
