// SPDX-License-Identifier: Apache-2.0
//
// A collective goes to the backend of its tensors' device: Gloo for the CPU's, NCCL for CUDA's where the group has it.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>

#include <chrono>
#include <thread>
#include <utility>

#include "handle.h"
#include "process_group.h"
#include "work.h"

using namespace lancetorch;
using std::chrono::milliseconds;

namespace {

milliseconds to_timeout(int64_t given) { return given <= 0 ? c10d::kUnsetTimeout : milliseconds(given); }

void require_dense(const at::Tensor& tensor, const char* name) {
  if (tensor.layout() != c10::kStrided || !tensor.is_non_overlapping_and_dense()) {
    fail(LT_INVALID_ARGUMENT, std::string(name) + " is not dense");
  }
}

void require_rank(const lt_process_group& group, int32_t rank, const char* name) {
  require(rank >= 0 && rank < group.backend->getSize(), std::string(name) + " is no rank of the group");
}

void require_reduce_op(int32_t reduce_op, const at::Tensor& tensor) {
  require(reduce_op >= LT_REDUCE_SUM && reduce_op <= LT_REDUCE_MAXIMUM,
          "no reduction has the number " + std::to_string(reduce_op));
  require(reduce_op != LT_REDUCE_AVERAGE || tensor.is_floating_point(), "only floating point can be averaged");
}

void require_like(const at::Tensor& tensor, const char* name, const at::Tensor& other, const char* other_name) {
  require(tensor.sizes() == other.sizes() && tensor.scalar_type() == other.scalar_type() &&
              tensor.device() == other.device(),
          std::string(name) + " differs from " + other_name + " in shape, dtype or device");
}

// Where a collective runs.
struct Route final {
  c10d::Backend& backend;
  bool is_nccl;

  // LT_REDUCE_... are c10d's numbers. Gloo cannot average: it sums, and the wait divides.
  c10d::ReduceOp reduction(int32_t reduce_op) const {
    return reduce_op == LT_REDUCE_AVERAGE && !is_nccl ? c10d::ReduceOp::SUM
                                                      : static_cast<c10d::ReduceOp::RedOpType>(reduce_op);
  }

  bool divides(int32_t reduce_op) const { return reduce_op == LT_REDUCE_AVERAGE && !is_nccl; }
};
static_assert(LT_REDUCE_SUM == c10d::ReduceOp::SUM && LT_REDUCE_AVERAGE == c10d::ReduceOp::AVG &&
              LT_REDUCE_PRODUCT == c10d::ReduceOp::PRODUCT && LT_REDUCE_MINIMUM == c10d::ReduceOp::MIN &&
              LT_REDUCE_MAXIMUM == c10d::ReduceOp::MAX);

// NCCL's failures come from its watchdog, after the call that they belong to has returned.
void require_intact(c10d::Backend& nccl) {
  switch (nccl.getError()) {
    case c10d::ErrorType::SUCCESS:
      return;
    case c10d::ErrorType::TIMEOUT:
      fail(LT_TIMEOUT, "an earlier collective of NCCL has timed out, which broke the group");
    default:
      fail(LT_PEER_FAILED, "an earlier collective of NCCL has failed, here or on another rank, which broke the group");
  }
}

Route route(lt_process_group* group, const at::Tensor& tensor) {
  if (!tensor.is_cuda() || group->nccl == nullptr) {
    return {*group->backend, false};
  }
  require_intact(*group->nccl);
  return {*group->nccl, true};
}

// Gloo moves no bool, no int16 and no wide unsigned integers, NCCL not all of them. To move bytes without computing, another
// dtype of the same size does as well.
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

// One for each rank, all like `like`, as they are moved.
std::vector<at::Tensor> moved_all(const lt_process_group& group, lt_tensor* const* handles, const char* list_name,
                                  const char* name, const at::Tensor& like, const char* like_name) {
  std::vector<at::Tensor> tensors = retained_all(handles, group.backend->getSize(), list_name);
  for (at::Tensor& tensor : tensors) {
    require_dense(tensor, name);
    require_like(tensor, name, like, like_name);
    tensor = as_moved(tensor.detach());
  }
  return tensors;
}

// Backends move the bytes in the order of memory, so both ends must have the same.
at::Tensor in_order_of(const at::Tensor& tensor, const at::Tensor& other) {
  return tensor.strides() == other.strides() ? tensor : at::empty_like(other).copy_(tensor);
}

// A send or receive of Gloo, whose own handle knows of no end unless one waits for it, and breaks the group where that wait
// is cut short: a thread waits, up to the deadline.
class PointToPoint final : public c10d::Work {
 public:
  static c10::intrusive_ptr<c10d::Work> start(const lt_process_group& group, c10d::OpType type,
                                              c10::intrusive_ptr<c10d::Work> begun, milliseconds timeout) {
    auto made = c10::make_intrusive<PointToPoint>(group.backend->getRank(), type);
    std::thread([made, begun = std::move(begun), timeout] {
      try {
        begun->wait(timeout);
        made->finish(nullptr);
      } catch (...) {
        made->finish(std::current_exception());
      }
    }).detach();
    return made;
  }

  PointToPoint(int rank, c10d::OpType type) : Work(rank, type) {}
};

lt_status point_to_point(const char* where, lt_process_group* group, const lt_tensor* tensor, int32_t other_rank,
                         const char* rank_name, int32_t tag, int64_t timeout_milliseconds, bool sends, lt_work** work,
                         lt_error* err) {
  return guard(err, where, [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(tensor, "tensor");
    require_dense(*borrowed, "tensor");
    require_rank(*group, other_rank, rank_name);
    require(other_rank != group->backend->getRank(), std::string(rank_name) + " is this rank itself");
    require(tag >= 0, "tag is negative");
    Route to = route(group, *borrowed);
    std::vector<at::Tensor> tensors{as_moved(borrowed->detach())};
    c10::intrusive_ptr<c10d::Work> begun =
        sends ? to.backend.send(tensors, other_rank, tag) : to.backend.recv(tensors, other_rank, tag);
    if (!to.is_nccl) {
      milliseconds timeout =
          timeout_milliseconds > 0 ? milliseconds(timeout_milliseconds) : to.backend.getBackendOptions()->timeout;
      begun = PointToPoint::start(*group, sends ? c10d::OpType::SEND : c10d::OpType::RECV, std::move(begun), timeout);
      std::erase_if(group->point_to_point, [](const auto& other) { return other->isCompleted(); });
      group->point_to_point.push_back(begun);
    }
    *work = to_handle(std::move(begun), std::move(tensors), nullptr, to.is_nccl);
  });
}

std::vector<int64_t> element_counts(const std::vector<at::Tensor>& tensors) {
  std::vector<int64_t> counts;
  counts.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) {
    counts.push_back(tensor.numel());
  }
  return counts;
}

at::Tensor flat(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  rows.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) {
    rows.push_back(tensor.reshape(-1));
  }
  return at::cat(rows);
}

}  // namespace

lt_status lt_all_reduce(lt_process_group* group, lt_tensor* tensor, int32_t reduce_op, int64_t timeout_milliseconds,
                        lt_work** work, lt_error* err) {
  return guard(err, "lt_all_reduce", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(tensor, "tensor");
    require_dense(*borrowed, "tensor");
    require_reduce_op(reduce_op, *borrowed);
    Route to = route(group, *borrowed);
    c10d::AllreduceOptions options;
    options.reduceOp = to.reduction(reduce_op);
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> tensors{borrowed->detach()};
    std::function<void()> last_step;
    if (to.divides(reduce_op)) {
      last_step = [sum = tensors[0], size = to.backend.getSize()] { sum.div_(size); };
    }
    *work = to_handle(to.backend.allreduce(tensors, options), tensors, std::move(last_step), to.is_nccl);
  });
}

lt_status lt_all_reduce_coalesced(lt_process_group* group, lt_tensor* const* tensors, int64_t count, int32_t reduce_op,
                                  int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_all_reduce_coalesced", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    require(count > 0, "no tensors");
    std::vector<at::Tensor> all = retained_all(tensors, count, "tensors");
    for (at::Tensor& tensor : all) {
      require_dense(tensor, "a tensor");
      require_reduce_op(reduce_op, tensor);
      require(tensor.scalar_type() == all[0].scalar_type() && tensor.device() == all[0].device(),
              "the tensors differ in dtype or device");
      tensor = tensor.detach();
    }
    Route to = route(group, all[0]);
    c10d::AllreduceCoalescedOptions options;
    options.reduceOp = to.reduction(reduce_op);
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> moved = all;
    std::function<void()> last_step;
    if (!to.is_nccl) {
      // Gloo's takes tensors of one shape alone, so they go as one.
      moved = {flat(all)};
      last_step = [sum = moved[0], all, divisor = to.divides(reduce_op) ? to.backend.getSize() : 1] {
        if (divisor != 1) {
          sum.div_(divisor);
        }
        int64_t first = 0;
        for (const at::Tensor& target : all) {
          target.copy_(sum.narrow(0, first, target.numel()).view(target.sizes()));
          first += target.numel();
        }
      };
    }
    c10::intrusive_ptr<c10d::Work> begun;
    if (to.is_nccl) {
      begun = to.backend.allreduce_coalesced(moved, options);
    } else {
      begun = to.backend.allreduce(moved, options);
    }
    *work = to_handle(std::move(begun), std::move(moved), std::move(last_step), to.is_nccl);
  });
}

lt_status lt_reduce(lt_process_group* group, lt_tensor* tensor, int32_t root_rank, int32_t reduce_op,
                    int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_reduce", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(tensor, "tensor");
    require_dense(*borrowed, "tensor");
    require_reduce_op(reduce_op, *borrowed);
    require_rank(*group, root_rank, "root_rank");
    Route to = route(group, *borrowed);
    c10d::ReduceOptions options;
    options.reduceOp = to.reduction(reduce_op);
    options.rootRank = root_rank;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> tensors{borrowed->detach()};
    std::function<void()> last_step;
    if (to.divides(reduce_op) && root_rank == to.backend.getRank()) {
      last_step = [sum = tensors[0], size = to.backend.getSize()] { sum.div_(size); };
    }
    *work = to_handle(to.backend.reduce(tensors, options), tensors, std::move(last_step), to.is_nccl);
  });
}

lt_status lt_broadcast(lt_process_group* group, lt_tensor* tensor, int32_t root_rank, int64_t timeout_milliseconds,
                       lt_work** work, lt_error* err) {
  return guard(err, "lt_broadcast", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(tensor, "tensor");
    require_dense(*borrowed, "tensor");
    require_rank(*group, root_rank, "root_rank");
    Route to = route(group, *borrowed);
    c10d::BroadcastOptions options;
    options.rootRank = root_rank;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> tensors{as_moved(borrowed->detach())};
    *work = to_handle(to.backend.broadcast(tensors, options), tensors, nullptr, to.is_nccl);
  });
}

lt_status lt_all_gather(lt_process_group* group, lt_tensor* const* outputs, const lt_tensor* input,
                        int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_all_gather", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed borrowed(input, "input");
    require_dense(*borrowed, "input");
    std::vector<at::Tensor> targets = moved_all(*group, outputs, "outputs", "an output", *borrowed, "the input");
    Route to = route(group, *borrowed);
    at::Tensor source = in_order_of(as_moved(borrowed->detach()), targets[0]);
    c10d::AllgatherOptions options;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<std::vector<at::Tensor>> lists{targets};
    std::vector<at::Tensor> sources{source};
    c10::intrusive_ptr<c10d::Work> begun = to.backend.allgather(lists, sources, options);
    targets.push_back(source);
    *work = to_handle(std::move(begun), std::move(targets), nullptr, to.is_nccl);
  });
}

// One tensor for all ranks, cut along its first dimension.
static void require_whole(const at::Tensor& whole, const char* name, const at::Tensor& part, int64_t ranks) {
  require(whole.is_contiguous() && part.is_contiguous(), "the tensors are not contiguous");
  bool fits = part.dim() >= 1 && whole.dim() == part.dim() && whole.size(0) == ranks * part.size(0) &&
              whole.sizes().slice(1) == part.sizes().slice(1) && whole.scalar_type() == part.scalar_type() &&
              whole.device() == part.device();
  require(fits, std::string(name) +
                    " is not the other tensor's shape with a first dimension of world_size times as much,"
                    " in its dtype and on its device");
}

lt_status lt_all_gather_into(lt_process_group* group, lt_tensor* output, const lt_tensor* input,
                             int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_all_gather_into", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed whole(output, "output");
    Borrowed part(input, "input");
    require_whole(*whole, "output", *part, group->backend->getSize());
    Route to = route(group, *whole);
    c10d::AllgatherOptions options;
    options.timeout = to_timeout(timeout_milliseconds);
    at::Tensor target = as_moved(whole->detach());
    at::Tensor source = as_moved(part->detach());
    c10::intrusive_ptr<c10d::Work> begun;
    if (to.is_nccl) {
      begun = to.backend._allgather_base(target, source, options);
    } else {
      std::vector<std::vector<at::Tensor>> lists{target.chunk(to.backend.getSize())};
      std::vector<at::Tensor> sources{source};
      begun = to.backend.allgather(lists, sources, options);
    }
    *work = to_handle(std::move(begun), {target, source}, nullptr, to.is_nccl);
  });
}

// Through Gloo: reduces all of `stacked`, [world_size, ...], and keeps this rank's part, as Gloo's own reduce_scatter does;
// but the work of that one never tells that it has ended, unless one waits for it.
static lt_work* reduce_and_keep(const Route& to, at::Tensor stacked, const at::Tensor& target, int32_t reduce_op,
                                int64_t timeout_milliseconds) {
  c10d::AllreduceOptions options;
  options.reduceOp = to.reduction(reduce_op);
  options.timeout = to_timeout(timeout_milliseconds);
  std::vector<at::Tensor> all{std::move(stacked)};
  auto last_step = [part = all[0].select(0, to.backend.getRank()), target,
                    divisor = to.divides(reduce_op) ? to.backend.getSize() : 1] {
    target.copy_(part);
    if (divisor != 1) {
      target.div_(divisor);
    }
  };
  return to_handle(to.backend.allreduce(all, options), all, std::move(last_step), to.is_nccl);
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
    for (at::Tensor& source : sources) {
      require_dense(source, "an input");
      require_like(source, "an input", *borrowed, "the output");
      source = source.detach();
    }
    Route to = route(group, *borrowed);
    at::NoGradGuard no_grad;
    if (!to.is_nccl) {
      *work = reduce_and_keep(to, at::stack(sources), borrowed->detach(), reduce_op, timeout_milliseconds);
      return;
    }
    c10d::ReduceScatterOptions options;
    options.reduceOp = to.reduction(reduce_op);
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<at::Tensor> targets{borrowed->detach()};
    for (at::Tensor& source : sources) {
      source = in_order_of(source, targets[0]);
    }
    std::vector<std::vector<at::Tensor>> lists{sources};
    c10::intrusive_ptr<c10d::Work> begun = to.backend.reduce_scatter(targets, lists, options);
    sources.push_back(targets[0]);
    *work = to_handle(std::move(begun), std::move(sources), nullptr, true);
  });
}

lt_status lt_reduce_scatter_from(lt_process_group* group, lt_tensor* output, const lt_tensor* input, int32_t reduce_op,
                                 int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_reduce_scatter_from", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    Borrowed part(output, "output");
    Borrowed whole(input, "input");
    require_whole(*whole, "input", *part, group->backend->getSize());
    require_reduce_op(reduce_op, *part);
    Route to = route(group, *part);
    at::NoGradGuard no_grad;
    at::Tensor target = part->detach();
    if (!to.is_nccl) {
      std::vector<int64_t> stacked{to.backend.getSize()};
      stacked.insert(stacked.end(), target.sizes().begin(), target.sizes().end());
      *work = reduce_and_keep(to, whole->detach().clone().view(stacked), target, reduce_op, timeout_milliseconds);
      return;
    }
    c10d::ReduceScatterOptions options;
    options.reduceOp = to.reduction(reduce_op);
    options.timeout = to_timeout(timeout_milliseconds);
    at::Tensor source = whole->detach();
    *work = to_handle(to.backend._reduce_scatter_base(target, source, options), {target, source}, nullptr, true);
  });
}

lt_status lt_gather(lt_process_group* group, lt_tensor* const* outputs, const lt_tensor* input, int32_t root_rank,
                    int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_gather", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    require_rank(*group, root_rank, "root_rank");
    Borrowed borrowed(input, "input");
    // The order of memory in which all send, whoever holds the outputs.
    at::Tensor source = as_moved(borrowed->detach().contiguous());
    bool is_root = root_rank == group->backend->getRank();
    require(is_root || outputs == nullptr, "outputs are for root_rank alone");
    std::vector<at::Tensor> targets;
    if (is_root) {
      targets = moved_all(*group, outputs, "outputs", "an output", *borrowed, "the input");
      for (const at::Tensor& target : targets) {
        require(target.is_contiguous(), "an output is not contiguous");
      }
    }
    Route to = route(group, source);
    c10d::GatherOptions options;
    options.rootRank = root_rank;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<std::vector<at::Tensor>> lists;
    if (is_root) {
      lists.push_back(targets);
    }
    std::vector<at::Tensor> sources{source};
    c10::intrusive_ptr<c10d::Work> begun = to.backend.gather(lists, sources, options);
    targets.push_back(source);
    *work = to_handle(std::move(begun), std::move(targets), nullptr, to.is_nccl);
  });
}

lt_status lt_scatter(lt_process_group* group, lt_tensor* output, lt_tensor* const* inputs, int32_t root_rank,
                     int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_scatter", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    require_rank(*group, root_rank, "root_rank");
    Borrowed borrowed(output, "output");
    require(borrowed->is_contiguous(), "output is not contiguous");
    bool is_root = root_rank == group->backend->getRank();
    require(is_root || inputs == nullptr, "inputs are for root_rank alone");
    std::vector<at::Tensor> sources;
    if (is_root) {
      sources = moved_all(*group, inputs, "inputs", "an input", *borrowed, "the output");
      for (at::Tensor& source : sources) {
        source = source.contiguous();
      }
    }
    Route to = route(group, *borrowed);
    c10d::ScatterOptions options;
    options.rootRank = root_rank;
    options.timeout = to_timeout(timeout_milliseconds);
    std::vector<std::vector<at::Tensor>> lists;
    if (is_root) {
      lists.push_back(sources);
    }
    std::vector<at::Tensor> targets{as_moved(borrowed->detach())};
    c10::intrusive_ptr<c10d::Work> begun = to.backend.scatter(targets, lists, options);
    sources.push_back(targets[0]);
    *work = to_handle(std::move(begun), std::move(sources), nullptr, to.is_nccl);
  });
}

lt_status lt_all_to_all(lt_process_group* group, lt_tensor* const* outputs, lt_tensor* const* inputs,
                        int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_all_to_all", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    std::vector<at::Tensor> targets = retained_all(outputs, group->backend->getSize(), "outputs");
    std::vector<at::Tensor> sources = retained_all(inputs, group->backend->getSize(), "inputs");
    for (std::vector<at::Tensor>* list : {&targets, &sources}) {
      for (at::Tensor& tensor : *list) {
        require(tensor.is_contiguous(), "a tensor is not contiguous");
        require(tensor.scalar_type() == targets[0].scalar_type() && tensor.device() == targets[0].device(),
                "the tensors differ in dtype or device");
      }
    }
    for (std::vector<at::Tensor>* list : {&targets, &sources}) {
      for (at::Tensor& tensor : *list) {
        tensor = as_moved(tensor.detach());
      }
    }
    Route to = route(group, targets[0]);
    c10d::AllToAllOptions options;
    options.timeout = to_timeout(timeout_milliseconds);
    if (to.is_nccl) {
      c10::intrusive_ptr<c10d::Work> begun = to.backend.alltoall(targets, sources, options);
      targets.insert(targets.end(), sources.begin(), sources.end());
      *work = to_handle(std::move(begun), std::move(targets), nullptr, true);
      return;
    }
    // Gloo's takes one tensor, of which each rank gets a part.
    std::vector<int64_t> out_counts = element_counts(targets);
    std::vector<int64_t> in_counts = element_counts(sources);
    at::NoGradGuard no_grad;
    at::Tensor source = flat(sources);
    int64_t total = 0;
    for (int64_t count : out_counts) {
      total += count;
    }
    at::Tensor target = at::empty({total}, source.options());
    auto last_step = [target, targets] {
      int64_t first = 0;
      for (const at::Tensor& part : targets) {
        part.copy_(target.narrow(0, first, part.numel()).view(part.sizes()));
        first += part.numel();
      }
    };
    *work = to_handle(to.backend.alltoall_base(target, source, out_counts, in_counts, options), {target, source},
                      std::move(last_step), false);
  });
}

lt_status lt_send(lt_process_group* group, const lt_tensor* tensor, int32_t to_rank, int32_t tag,
                  int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return point_to_point("lt_send", group, tensor, to_rank, "to_rank", tag, timeout_milliseconds, true, work, err);
}

lt_status lt_recv(lt_process_group* group, lt_tensor* tensor, int32_t from_rank, int32_t tag,
                  int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return point_to_point("lt_recv", group, tensor, from_rank, "from_rank", tag, timeout_milliseconds, false, work, err);
}

lt_status lt_barrier(lt_process_group* group, int64_t timeout_milliseconds, lt_work** work, lt_error* err) {
  return guard(err, "lt_barrier", [&] {
    require_pointer(group, "group");
    require_pointer(work, "work");
    c10d::BarrierOptions options;
    options.timeout = to_timeout(timeout_milliseconds);
    *work = to_handle(group->backend->barrier(options), {}, nullptr, false);
  });
}
