// SPDX-License-Identifier: Apache-2.0
#ifndef LANCETORCH_TORCH_PROCESS_GROUP_H
#define LANCETORCH_TORCH_PROCESS_GROUP_H

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

struct lt_process_group {
  // The store that serves, where this process serves it, lives at least as long as the group.
  c10::intrusive_ptr<c10d::Store> store;
  // Collectives go straight to the backend; the Reducer asks for a ProcessGroup around it.
  c10::intrusive_ptr<c10d::Backend> backend;
  c10::intrusive_ptr<c10d::ProcessGroup> group;
};

#endif
