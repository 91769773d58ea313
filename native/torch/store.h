// SPDX-License-Identifier: Apache-2.0
#ifndef LANCETORCH_TORCH_STORE_H
#define LANCETORCH_TORCH_STORE_H

#include <c10/util/intrusive_ptr.h>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

struct lt_store {
  c10::intrusive_ptr<c10d::Store> store;
};

namespace lancetorch {

// The TCPStore beneath all prefixes.
const c10d::TCPStore* tcp_store(const lt_store& store);

}  // namespace lancetorch

#endif
