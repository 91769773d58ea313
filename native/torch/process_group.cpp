// SPDX-License-Identifier: Apache-2.0
#include "process_group.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <netdb.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
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

struct lt_work {
  c10::intrusive_ptr<c10d::Work> work;
  std::vector<at::Tensor> tensors;  // what the work reads or writes
  // What the first wait that succeeds has to do yet.
  std::function<void()> last_step;
};

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

milliseconds to_timeout(int64_t given) { return given <= 0 ? c10d::kUnsetTimeout : milliseconds(given); }

void require_dense(const at::Tensor& tensor, const char* name) {
  if (tensor.layout() != c10::kStrided || !tensor.is_non_overlapping_and_dense()) {
    fail(LT_INVALID_ARGUMENT, std::string(name) + " is not dense");
  }
}

void require_reduce_op(int32_t reduce_op, const at::Tensor& tensor) {
  require(reduce_op >= LT_REDUCE_SUM && reduce_op <= LT_REDUCE_MAXIMUM,
          "no reduction has the number " + std::to_string(reduce_op));
  require(reduce_op != LT_REDUCE_AVERAGE || tensor.is_floating_point(), "only floating point can be averaged");
}

// LT_REDUCE_... are c10d's numbers. Gloo cannot average: it sums, and the wait divides.
c10d::ReduceOp to_gloo(int32_t reduce_op) {
  return reduce_op == LT_REDUCE_AVERAGE ? c10d::ReduceOp::SUM : static_cast<c10d::ReduceOp::RedOpType>(reduce_op);
}
static_assert(LT_REDUCE_SUM == c10d::ReduceOp::SUM && LT_REDUCE_PRODUCT == c10d::ReduceOp::PRODUCT &&
              LT_REDUCE_MINIMUM == c10d::ReduceOp::MIN && LT_REDUCE_MAXIMUM == c10d::ReduceOp::MAX);

// Gloo moves no bool, no int16 and no wide unsigned integers. To move bytes without computing, another dtype of the
// same size does as well.
at::Tensor as_moved(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case c10::kBool:
      return tensor.view(c10::kByte);
    case c10::kShort:
    case c10::kUInt16:
      return tensor.view(c10::kHalf);
    case c10::kUInt32:
      return tensor.view(c10::kInt);
    case c10::kUInt64:
      return tensor.view(c10::kLong);
    default:
      return tensor;
  }
}

lt_work* to_handle(c10::intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> tensors,
                   std::function<void()> last_step = nullptr) {
  auto made = std::make_unique<lt_work>(lt_work{std::move(work), std::move(tensors), std::move(last_step)});
  count_handle(LT_TORCH_WORK, 1);
  return made.release();
}

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
    group->backend->abort();
  });
}

void lt_process_group_release(lt_process_group* group) {
  if (group != nullptr) {
    count_handle(LT_TORCH_PROCESS_GROUP, -1);
    delete group;
  }
}

lt_status lt_all_reduce(lt_process_group* group, lt_tensor* tensor, int32_t reduce_op, int64_t timeout_milliseconds,
                        lt_work** work, lt_error* err) {
  return guard(err, "lt_all_reduce", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(tensor, "tensor");
    require_dense(*borrowed, "tensor");
    require_reduce_op(reduce_op, *borrowed);
    c10d::AllreduceOptions options;
    options.reduceOp = to_gloo(reduce_op);
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> tensors{borrowed->detach()};
    std::function<void()> last_step;
    if (reduce_op == LT_REDUCE_AVERAGE) {
      last_step = [sum = tensors[0], size = group->backend->getSize()] { sum.div_(size); };
    }
    *work = to_handle(group->backend->allreduce(tensors, options), tensors, std::move(last_step));
  });
}

lt_status lt_broadcast(lt_process_group* group, lt_tensor* tensor, int32_t root_rank, int64_t timeout_milliseconds,
                       lt_work** work, lt_error* err) {
  return guard(err, "lt_broadcast", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(tensor, "tensor");
    require_dense(*borrowed, "tensor");
    require(root_rank >= 0 && root_rank < group->backend->getSize(), "root_rank is no rank of the group");
    c10d::BroadcastOptions options;
    options.rootRank = root_rank;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> tensors{as_moved(borrowed->detach())};
    *work = to_handle(group->backend->broadcast(tensors, options), tensors);
  });
}

lt_status lt_all_gather(lt_process_group* group, lt_tensor* const* outputs, const lt_tensor* input,
                        int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_all_gather", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(input, "input");
    require_dense(*borrowed, "input");
    std::vector<at::Tensor> targets = retained_all(outputs, group->backend->getSize(), "outputs");
    for (at::Tensor& target : targets) {
      require_dense(target, "an output");
      require(target.sizes() == borrowed->sizes() && target.scalar_type() == borrowed->scalar_type(),
              "an output differs from the input in shape or dtype");
      target = as_moved(target.detach());
    }
    at::Tensor source = as_moved(borrowed->detach());
    if (source.strides() != targets[0].strides()) {
      // Gloo moves the bytes in the order of the first output's memory.
      source = at::empty_like(targets[0]).copy_(source);
    }
    c10d::AllgatherOptions options;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<std::vector<at::Tensor>> lists{targets};
    std::vector<at::Tensor> sources{source};
    c10::intrusive_ptr<c10d::Work> begun = group->backend->allgather(lists, sources, options);
    targets.push_back(source);
    *work = to_handle(std::move(begun), std::move(targets));
  });
}

lt_status lt_reduce_scatter(lt_process_group* group, lt_tensor* output, lt_tensor* const* inputs, int32_t reduce_op,
                            int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_reduce_scatter", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(output, "output");
    require_dense(*borrowed, "output");
    require_reduce_op(reduce_op, *borrowed);
    std::vector<at::Tensor> sources = retained_all(inputs, group->backend->getSize(), "inputs");
    for (const at::Tensor& source : sources) {
      require_dense(source, "an input");
      require(source.sizes() == borrowed->sizes() && source.scalar_type() == borrowed->scalar_type(),
              "an input differs from the output in shape or dtype");
    }
    // As Gloo's own reduce_scatter does it: reduces all of it, and keeps its part. But the work of that one never tells
    // that it has ended, unless one waits for it.
    c10d::AllreduceOptions options;
    options.reduceOp = to_gloo(reduce_op);
    options.timeout = to_timeout(timeout_milliseconds);
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> all{at::stack(sources)};
    auto last_step = [part = all[0].select(0, group->backend->getRank()), target = borrowed->detach(),
                      divisor = reduce_op == LT_REDUCE_AVERAGE ? group->backend->getSize() : 1] {
      target.copy_(part);
      if (divisor != 1) {
        target.div_(divisor);
      }
    };
    *work = to_handle(group->backend->allreduce(all, options), all, std::move(last_step));
  });
}

lt_status lt_barrier(lt_process_group* group, int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_barrier", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    c10d::BarrierOptions options;
    options.timeout = to_timeout(timeout_milliseconds);
    *work = to_handle(group->backend->barrier(options), {});
  });
}

lt_status lt_work_wait(lt_work* work, int64_t timeout_milliseconds, lt_error* err) {
  return guard(err, "lt_work_wait", [&] {
    require_pointer(work, "work");
    if (timeout_milliseconds > 0) {
      // Work::wait tells its own timeout and the collective's apart by words alone.
      try {
        work->work->wait(milliseconds(timeout_milliseconds));
      } catch (...) {
        if (!work->work->isCompleted()) {
          fail(LT_TIMEOUT, "the collective is still under way after " + std::to_string(timeout_milliseconds) + " ms");
        }
        throw;
      }
    } else {
      work->work->wait();
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
