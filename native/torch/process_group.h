// SPDX-License-Identifier: Apache-2.0
#ifndef LANCETORCH_TORCH_PROCESS_GROUP_H
#define LANCETORCH_TORCH_PROCESS_GROUP_H

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

struct lt_process_group {
  // The store that serves, where this process serves it, lives at least as long as the group.
  c10::intrusive_ptr<c10d::Store> store;
  // Collectives go straight to the backends; the Reducer asks for a ProcessGroup around them.
  c10::intrusive_ptr<c10d::Backend> backend;  // Gloo
  c10::intrusive_ptr<c10d::Backend> nccl;     // for tensors of CUDA; none unless it was added
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  // Sends and receives through Gloo that may be under way.
  std::vector<c10::intrusive_ptr<c10d::Work>> point_to_point;
};

#endif
