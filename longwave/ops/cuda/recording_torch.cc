// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/recording_torch.h"

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/version.h>

#include "longwave/ops/cuda/device_torch.h"

namespace longwave::ops::gpu {

namespace {

using c10::cuda::CUDAStream;

/// Lets `then` wait for what `first` holds so far.
void chain(const CUDAStream& first, const CUDAStream& then) {
  at::cuda::CUDAEvent reached;
  reached.record(first);
  reached.block(then);
}

/// Calls `undo`, which may fail itself: the error to report is another.
template <typename Undo>
void leave(const Undo& undo) {
  try {
    undo();
  } catch (const c10::Error&) {
  }
}

}  // namespace

struct Recording::Parts {
  CUDAStream stream = c10::cuda::getStreamFromPool();  // the default one cannot be recorded
  std::unique_ptr<at::cuda::CUDAGraph> graph;
};

Recording::Recording() : parts_(std::make_unique<Parts>()) {}
Recording::~Recording() = default;

void Recording::run(FunctionRef<void()> work) {
  const CUDAStream outside = c10::cuda::getCurrentCUDAStream();
  chain(outside, parts_->stream);
  try {
    const c10::cuda::CUDAStreamGuard guard(parts_->stream);
    work();
  } catch (...) {
    // What was queued before still runs, and what follows may free or write what it uses.
    leave([&] { chain(parts_->stream, outside); });
    throw;
  }
  chain(parts_->stream, outside);
}

// Older ones have no way to give up a recording that failed.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 11)
namespace {

/// Ends a recording that failed: the stream and torch's memory are as they were before it. What
/// there is nothing to undo of fails.
void abandon(at::cuda::CUDAGraph& graph, c10::DeviceIndex device, const c10::MempoolId_t& pool) {
  using namespace c10::cuda::CUDACachingAllocator;
  leave([&] { graph.capture_end(); });
  // Only a recording that ended well has given the memory back itself.
  leave([&] {
    endAllocateToPool(device, pool);
    releasePool(device, pool);
  });
  leave([&] {
    at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(pool);
    at::getHostAllocator(at::kCUDA)->release_pool(pool);
  });
  cudaGetLastError();
}

}  // namespace

void Recording::record(FunctionRef<void()> work) {
  torch::cuda::synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();
  const auto pool = at::cuda::graph_pool_handle();
  parts_->graph = std::make_unique<at::cuda::CUDAGraph>();
  const c10::cuda::CUDAStreamGuard guard(parts_->stream);
  try {
    parts_->graph->capture_begin(pool);
    work();
    parts_->graph->capture_end();
  } catch (...) {
    abandon(*parts_->graph, parts_->stream.device_index(), pool);
    parts_->graph.reset();
    throw;
  }
}
#else
void Recording::record(FunctionRef<void()>) {
  TORCH_CHECK(false, "recording needs libtorch 2.11 or newer");
}
#endif

void Recording::replay() { parts_->graph->replay(); }

}  // namespace longwave::ops::gpu
