// SPDX-License-Identifier: Apache-2.0
#include <ATen/cuda/CUDAGraph.h>

#include <atomic>
#include <memory>

#pragma GCC visibility push(default)
#include <lancetorch/cuda.h>
#pragma GCC visibility pop

#include "error.h"

struct lt_cuda_graph {
  at::cuda::CUDAGraph graph;
  bool recording = false;
  bool recorded = false;
};

using namespace lancetorch;

namespace {

std::atomic<int64_t> live{0};

}  // namespace

lt_status lt_cuda_graph_create(lt_cuda_graph** graph, lt_error* err) {
  return guard(err, "lt_cuda_graph_create", [&] {
    require_pointer(graph, "graph");
    lt_error reason;
    if (lt_device_require({LT_DEVICE_CUDA, -1}, &reason) != LT_OK) {
      fail(reason.code, reason.message);
    }
    auto made = std::make_unique<lt_cuda_graph>();
    live.fetch_add(1, std::memory_order_relaxed);
    *graph = made.release();
  });
}

lt_status lt_cuda_graph_begin(lt_cuda_graph* graph, lt_error* err) {
  return guard(err, "lt_cuda_graph_begin", [&] {
    require_pointer(graph, "graph");
    require(!graph->recording && !graph->recorded, "the graph is recorded already, or being recorded");
    // Other threads, such as a loader's, go on with their own work meanwhile.
    graph->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    graph->recording = true;
  });
}

lt_status lt_cuda_graph_end(lt_cuda_graph* graph, lt_error* err) {
  return guard(err, "lt_cuda_graph_end", [&] {
    require_pointer(graph, "graph");
    require(graph->recording, "the graph is not being recorded");
    graph->recording = false;
    graph->graph.capture_end();
    graph->recorded = true;
  });
}

lt_status lt_cuda_graph_replay(lt_cuda_graph* graph, lt_error* err) {
  return guard(err, "lt_cuda_graph_replay", [&] {
    require_pointer(graph, "graph");
    require(graph->recorded, "nothing has been recorded");
    graph->graph.replay();
  });
}

void lt_cuda_graph_release(lt_cuda_graph* graph) {
  if (graph != nullptr) {
    live.fetch_sub(1, std::memory_order_relaxed);
    (void)guard(nullptr, "lt_cuda_graph_release", [&] { delete graph; });
  }
}

int64_t lt_cuda_graph_live(void) { return live.load(std::memory_order_relaxed); }
