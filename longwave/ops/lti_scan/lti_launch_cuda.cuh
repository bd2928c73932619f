// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/lti_scan/lti_scan_kernel_cuda.cuh"

namespace longwave::ops::lti_cuda {

inline int64_t groups_of(int64_t count, int64_t each) { return (count + each - 1) / each; }

// Scratch memory in numbers of any type, 16 bytes at least.
template <typename T>
T* take(gpu::DeviceScratch& scratch, int64_t count) {
  return reinterpret_cast<T*>(scratch.take(count * static_cast<int64_t>(sizeof(T) / 4)));
}
template <typename T>
size_t bytes_for(int64_t count) {
  return gpu::DeviceScratch::bytes(count * static_cast<int64_t>(sizeof(T) / 4));
}

template <typename T>
Signal<T> signal_of(const View<T, 3>& view) {
  return {view, gpu::in_pieces(view, view.extent(2), 16)};
}

// Blocks of a kernel that runs those lines for so many groups of modes.
template <typename Form>
unsigned blocks_of(const Lines& lines, int64_t groups, const char* where) {
  require(lines.cut.steps < std::numeric_limits<int>::max(), where, "a sequence is too long");
  const int64_t tiles = groups_of(lines.channels, Form::kChannels);
  return gpu::blocks_for(groups_of(lines.count(), Form::kLines) * tiles * groups, 1, where);
}

// Queues a kernel with `bytes` of shared memory, more than a block gets unasked.
template <typename Launch>
void queue(void (*kernel)(Launch), unsigned blocks, int threads, int bytes, const Launch& launch,
           cudaStream_t stream, const char* where) {
  if (blocks == 0) return;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), where);
  kernel<<<blocks, threads, bytes, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), where);
}

// Turns what segments add into the states before them.
template <Slope kSlope>
void join(const JoinLaunch& launch, cudaStream_t stream, const char* where) {
  constexpr int kThreads = 128;
  const Borders& h = launch.h;
  const int64_t count = launch.groups * h.batch * h.channels * h.modes;
  queue(join_kernel<kSlope>, gpu::blocks_for(count, kThreads, where), kThreads, 0, launch, stream,
        where);
}

// A scan forwards or backwards in time.
template <typename T>
struct ScanPass {
  ScanSystem system;
  View<const T, 3> u;
  View<const std::complex<float>, 3> first;  // the state before the first step, or absent for zero
  View<T, 3> y;
  View<std::complex<float>, 3> last;  // may be `first`
  LtiCut cut;
  const char* where;
};

/// Bytes of device memory of a pass.
template <typename T>
size_t scan_pass_bytes(const LtiScanCudaSize& size, const LtiCut& cut);

template <typename T>
void queue_scan(const ScanPass<T>& pass, std::byte* workspace, cudaStream_t stream);

}  // namespace longwave::ops::lti_cuda
