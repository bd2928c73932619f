// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <limits>
#include <type_traits>

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

// The same of a kernel that begins while the one before it in the stream ends, and waits for it by
// gpu::await_kernel_before.
template <typename Launch>
void queue_early(void (*kernel)(Launch), unsigned blocks, int threads, int bytes,
                 const Launch& launch, cudaStream_t stream, const char* where) {
  if (blocks == 0) return;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), where);
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  gpu::require_device(cudaLaunchKernelEx(&config, kernel, launch), where);
}

// Calls `work` with the tiles of 8 modes that kernels exist for and that hold up to
// kLtiScanCudaModes modes.
template <typename Work>
void with_mode_tiles(int64_t modes, const Work& work) {
  if (modes <= 8) {
    work(std::integral_constant<int, 1>());
  } else if (modes <= 16) {
    work(std::integral_constant<int, 2>());
  } else {
    work(std::integral_constant<int, 4>());
  }
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
  LtiScanPlan plan;
  const char* where;
};

// Bytes of the constants of a scan, and of the states before segments.
template <typename T>
size_t constant_bytes(int64_t channels) {
  using Tiles = ScanTiles<ScanForm<T>, kLtiScanCudaModes / 8>;
  return bytes_for<uint4>(channels * Tiles::kCount * 32) +
         bytes_for<float2>(channels * kScanHops * Tiles::kModes);
}
inline size_t border_bytes(const LtiScanCudaSize& size, const LtiCut& cut) {
  const Borders h{nullptr, size.batch, cut.segments, size.channels,
                  static_cast<int>(kLtiScanCudaModes)};
  return bytes_for<float2>(h.size(1));
}

// Constants of a scan's channels.
struct Constants {
  uint4* tiles;  // (channels, ScanTiles::kCount, 32)
  float2* hops;  // (channels, kScanHops, ScanTiles::kModes)
};

// `steps` are those of a segment.
template <int kModeTiles, typename T>
Constants queue_factors(const ScanPass<T>& pass, int64_t steps, gpu::DeviceScratch& scratch,
                        cudaStream_t stream) {
  using Tiles = ScanTiles<ScanForm<T>, kModeTiles>;
  const int64_t channels = pass.u.extent(2);
  const Constants constants{take<uint4>(scratch, channels * Tiles::kCount * 32),
                            take<float2>(scratch, channels * kScanHops * Tiles::kModes)};
  queue(scan_factors_kernel<ScanForm<T>, kModeTiles>, gpu::blocks_for(channels, 1, pass.where),
        kFactorThreads, 0, ScanFactorsLaunch{pass.system, steps, constants.tiles, constants.hops},
        stream, pass.where);
  return constants;
}

// Queues what finds the state before each segment: each but the last is run once for this.
template <int kModeTiles, typename T>
Borders queue_borders(const ScanPass<T>& pass, const LtiCut& cut, const Constants& constants,
                      gpu::DeviceScratch& scratch, cudaStream_t stream) {
  using Form = CarryForm<T>;
  using Tiles = ScanTiles<ScanForm<T>, kModeTiles>;
  const int64_t batch = pass.u.extent(0), channels = pass.u.extent(2);
  Borders h{nullptr, batch, cut.segments, channels, Tiles::kModes};
  h.states = take<float2>(scratch, h.size(1));
  const Lines carried{cut, cut.segments - 1, batch, pass.u.extent(1), channels};
  queue(carry_kernel<Form, Tiles::kStates, Slope::kNone>, blocks_of<Form>(carried, 1, pass.where),
        Form::kThreads, CarryMemory<Form>::kBytes,
        CarryLaunch<T>{.lines = carried,
                       .u = signal_of(pass.u),
                       .groups = 1,
                       .tiles = constants.tiles,
                       .set = Tiles::kCount,
                       .hops = constants.hops,
                       .hop_rows = kScanHops,
                       .h = h,
                       .s = {}},
        stream, pass.where);
  join<Slope::kNone>(JoinLaunch{.hops = constants.hops,
                                .hop_rows = kScanHops,
                                .first = pass.first,
                                .groups = 1,
                                .h = h,
                                .s = {}},
                     stream, pass.where);
  return h;
}

// Queues what takes final states through the steps behind the last whole stage.
template <typename T>
void queue_tail(const ScanPass<T>& pass, int64_t stage, cudaStream_t stream) {
  constexpr int kThreads = 128;
  const int64_t time = pass.u.extent(1), begin = time / stage * stage;
  if (begin == time) return;
  queue(tail_kernel<T>, gpu::blocks_for(pass.last.size(), kThreads, pass.where), kThreads, 0,
        TailLaunch<T>{pass.system, pass.u, begin, pass.last}, stream, pass.where);
}

/// Bytes of device memory of a pass.
template <typename T>
size_t scan_pass_bytes(const LtiScanCudaSize& size, const LtiScanPlan& plan);

template <typename T>
void queue_scan(const ScanPass<T>& pass, std::byte* workspace, cudaStream_t stream);

}  // namespace longwave::ops::lti_cuda
