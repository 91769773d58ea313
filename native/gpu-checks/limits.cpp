// SPDX-License-Identifier: Apache-2.0
//
// What CUDA and NCCL give at best, without libtorch: copies from pinned memory by bare cudaMemcpyAsync, and ncclAllReduce of
// one rank. Prints a line of JSON for each, as jmh's GpuFigures does.
#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

void require(bool done, const char* what) {
  if (!done) {
    std::fprintf(stderr, "limits: %s failed\n", what);
    std::exit(1);
  }
}

// Times a second: the median of five runs of a second.
template <typename Work>
double rate(cudaStream_t stream, Work&& work) {
  std::vector<double> rates;
  for (int run = -1; run < 5; run++) {
    auto begin = std::chrono::steady_clock::now();
    double passed = 0;
    int done = 0;
    while (passed < 1) {
      for (int i = 0; i < 20; i++) {
        work();
      }
      require(cudaStreamSynchronize(stream) == cudaSuccess, "cudaStreamSynchronize");
      done += 20;
      passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    if (run >= 0) {
      rates.push_back(done / passed);
    }
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

void report(const char* group, size_t size, double score, const char* unit) {
  std::printf(
      "{\"implementation\": \"bare\", \"role\": \"LIMIT\", \"group\": \"%s %zu MB%s\", \"score\": %.3f, \"unit\": "
      "\"%s\"}\n",
      group, size, unit[0] == 'G' ? " to the GPU" : "", score, unit);
  std::fflush(stdout);
}

}  // namespace

int main() {
  cudaStream_t stream;
  require(cudaStreamCreate(&stream) == cudaSuccess, "cudaStreamCreate (is there a GPU?)");
  for (size_t batches : {1, 4}) {
    size_t size = batches * 128 * 3 * 224 * 224;
    void* host = nullptr;
    void* device = nullptr;
    require(cudaHostAlloc(&host, size, cudaHostAllocDefault) == cudaSuccess, "cudaHostAlloc");
    require(cudaMalloc(&device, size) == cudaSuccess, "cudaMalloc");
    double times = rate(stream, [&] { cudaMemcpyAsync(device, host, size, cudaMemcpyHostToDevice, stream); });
    report("copy of", size / 1000000, times * static_cast<double>(size) / 1e9, "GB/s");
    cudaFree(device);
    cudaFreeHost(host);
  }
  int device = 0;
  ncclComm_t comm;
  require(ncclCommInitAll(&comm, 1, &device) == ncclSuccess, "ncclCommInitAll");
  for (size_t megabytes : {1, 16, 256, 1024}) {
    size_t count = megabytes << 18;
    void* values = nullptr;
    require(cudaMalloc(&values, count * sizeof(float)) == cudaSuccess, "cudaMalloc");
    double times = rate(stream, [&] { ncclAllReduce(values, values, count, ncclFloat, ncclSum, comm, stream); });
    report("NCCL all-reduce of", megabytes, 1e6 / times, "us/op");
    cudaFree(values);
  }
  ncclCommDestroy(comm);
  return 0;
}
