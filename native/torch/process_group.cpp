// SPDX-License-Identifier: Apache-2.0
#include "process_group.h"

#include <ATen/core/Tensor.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <netdb.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
// gloo's header uses std::runtime_error without including it, which c10d's have done.
#include <gloo/common/error.h>
#include <gloo/context.h>
#include <gloo/transport/unbound_buffer.h>

#include "handle.h"
#include "store.h"

using namespace lancetorch;
using std::chrono::milliseconds;

namespace {

// Gloo with what c10d leaves out: breaking off. A receive that times out closes all connections of its context, and so
// ends whatever waits there; this one waits for what nobody sends.
class AbortableGloo final : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;

  void abort() override {
    for (const std::shared_ptr<gloo::Context>& context : contexts_) {
      char unused = 0;
      try {
        context->createUnboundBuffer(&unused, sizeof(unused))->waitRecv(milliseconds(1));
      } catch (const gloo::IoException&) {
        // The timeout.
      }
    }
  }
};

// The address of this machine from which packets to the store's host go out; empty where none is found. (Gloo's own
// default is what the machine's name resolves to: on Debian 127.0.1.1, where no other machine gets through.)
std::string address_towards(const c10d::TCPStore& store) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* addresses = nullptr;
  if (getaddrinfo(store.getHost().c_str(), std::to_string(store.getPort()).c_str(), &hints, &addresses) != 0) {
    return "";
  }
  std::string found;
  for (const addrinfo* to = addresses; to != nullptr && found.empty(); to = to->ai_next) {
    int descriptor = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    auto* address = reinterpret_cast<sockaddr*>(&from);
    char text[NI_MAXHOST];
    // connect sends nothing here: it picks the route.
    if (descriptor >= 0 && connect(descriptor, to->ai_addr, to->ai_addrlen) == 0 &&
        getsockname(descriptor, address, &size) == 0 &&
        getnameinfo(address, size, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) {
      found = text;
    }
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
  freeaddrinfo(addresses);
  return found;
}

c10::intrusive_ptr<c10d::ProcessGroupGloo::Options> gloo_options(const lt_store& store, const char* interface_host,
                                                                 milliseconds timeout) {
  std::string address = interface_host == nullptr ? "" : interface_host;
  if (address.empty() && tcp_store(store) != nullptr) {
    address = address_towards(*tcp_store(store));
  }
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->threads = 2;
  options->devices.push_back(address.empty() ? c10d::ProcessGroupGloo::createDefaultDevice()
                                             : c10d::ProcessGroupGloo::createDeviceForHostname(address));
  return options;
}

// A connection of the group's own: while one rank waits in the store, another in the same process can go on.
c10::intrusive_ptr<c10d::Store> own_connection(const c10::intrusive_ptr<c10d::Store>& store, milliseconds timeout) {
  c10::intrusive_ptr<c10d::Store> clone = store->clone();
  clone->setTimeout(timeout);
  return clone;
}

}  // namespace

lt_status lt_process_group_gloo(lt_store* store, int32_t rank, int32_t world_size, const char* interface_host,
                                int64_t timeout_milliseconds, lt_process_group** group, lt_error* err) {
  return guard(err, "lt_process_group_gloo", [&] {
    require_pointer(store, "store");
    require_pointer(group, "group");
    require(world_size >= 1, "world_size must be 1 or more");
    require(rank >= 0 && rank < world_size, "rank is not 0 to world_size - 1");
    require(timeout_milliseconds > 0, "timeout_milliseconds must be 1 or more");
    milliseconds timeout(timeout_milliseconds);
    auto made = std::make_unique<lt_process_group>();
    made->store = store->store;
    c10::intrusive_ptr<c10d::Store> connection = own_connection(store->store, timeout);
    made->backend =
        c10::make_intrusive<AbortableGloo>(connection, rank, world_size, gloo_options(*store, interface_host, timeout));
    made->group = c10::make_intrusive<c10d::ProcessGroup>(connection, rank, world_size);
    made->group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, made->backend);
    if (c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) {
      made->group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::GLOO, made->backend);
    }
    made->group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    count_handle(LT_TORCH_PROCESS_GROUP, 1);
    *group = made.release();
  });
}

int32_t lt_process_group_rank(const lt_process_group* group) {
  return group == nullptr ? -1 : group->backend->getRank();
}

int32_t lt_process_group_size(const lt_process_group* group) {
  return group == nullptr ? -1 : group->backend->getSize();
}

lt_status lt_process_group_abort(lt_process_group* group, lt_error* err) {
  return guard(err, "lt_process_group_abort", [&] {
    require_pointer(group, "group");
    if (group->nccl != nullptr) {
      group->nccl->abort();
    }
    group->backend->abort();
  });
}

void lt_process_group_release(lt_process_group* group) {
  if (group != nullptr) {
    count_handle(LT_TORCH_PROCESS_GROUP, -1);
    for (const c10::intrusive_ptr<c10d::Work>& work : group->point_to_point) {
      (void)guard(nullptr, "lt_process_group_release", [&] { work->wait(); });
    }
    if (group->nccl != nullptr) {
      (void)guard(nullptr, "lt_process_group_release", [&] { group->nccl->shutdown(); });
    }
    delete group;
  }
}
