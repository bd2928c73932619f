// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/selective_scan/selective_scan_apart_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_kernel_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_step_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

inline void require_device(cudaError_t status) { gpu::require_device(status, kWhere); }

template <typename T, int Rank>
int64_t step_bytes(const View<T, Rank>& x) {
  return x.stride(1) * static_cast<int64_t>(sizeof(T));
}

// Whether steps and the bytes from one to the next fit into 32 bits.
template <typename T, int Rank>
bool is_short(const View<T, Rank>& x) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  return x.extent(1) <= kMost && std::abs(step_bytes(x)) <= kMost;
}

// Whether besides rows can be copied 16 bytes at a time.
template <typename T, int Rank>
bool wide(const View<const T, Rank>& x, int64_t row) {
  return is_short(x) && gpu::in_pieces(x, row, 16);
}

template <typename T>
SelectiveScanLaunch<T> describe(const SelectiveScanCudaArgs<T>& args, const SelectiveScanPlan& plan,
                                std::byte* workspace) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const int64_t batch = in.u.extent(0), channels = in.u.extent(2), state = in.A.extent(1);
  const int64_t group = channels / in.B.extent(2);
  const SelectiveLanes& lanes = selective_lanes_of(plan);
  const int64_t width = kSelectiveThreads / lanes.lanes * lanes.channels;
  SelectiveScanLaunch<T> launch{
      .args = args,
      .ends = {},
      .totals = {},
      .segments = plan.segments,
      .segment_steps = plan.segment_steps,
      .chunk = selective_scan_chunk(state),
      .chunk_shift = std::countr_zero(static_cast<uint64_t>(selective_scan_chunk(state))),
      .group_channels = group,
      .group_tiles = (group + width - 1) / width,
      .wide_u = wide(in.u, group),
      .wide_dt = wide(in.dt, group),
      .wide_z = wide(in.z, group),
      .wide_B = wide(in.B, state),
      .wide_C = wide(in.C, state),
      .short_y = is_short(args.y),
      .step_bytes = {.u = static_cast<int>(step_bytes(in.u)),
                     .dt = static_cast<int>(step_bytes(in.dt)),
                     .z = static_cast<int>(step_bytes(in.z)),
                     .B = static_cast<int>(step_bytes(in.B)),
                     .C = static_cast<int>(step_bytes(in.C)),
                     .y = static_cast<int>(step_bytes(args.y))}};
  if (plan.segments > 1) {
    float* const numbers = reinterpret_cast<float*>(workspace);
    launch.ends = {numbers, {batch, plan.segments, state, channels}};
    launch.totals = {numbers + launch.ends.size(), {batch, plan.segments, channels}};
  }
  return launch;
}

// A block for each tile of channels and for each of so many segments.
template <typename T>
int64_t blocks_of(const SelectiveScanLaunch<T>& launch, int64_t segments) {
  return launch.args.in.u.extent(0) * segments * launch.args.in.B.extent(2) * launch.group_tiles;
}

// How many of them are members of one: where all run at once, those of a multiprocessor, which so
// keep pace with each other; elsewhere a block that ends makes room for another.
template <typename Shared>
int members_of(int64_t blocks, int64_t segments) {
  if (segments > 1) return 1;
  const gpu::Capacity capacity = gpu::present_capacity(kWhere);
  const int64_t each = (blocks + capacity.multiprocessors - 1) / capacity.multiprocessors;
  const int64_t most = capacity.shared_bytes / static_cast<int64_t>(sizeof(Shared));
  return each <= std::min<int64_t>(most, Shared::kBlocks) ? static_cast<int>(each) : 1;
}

// Queues a kernel with so many blocks of so many threads for each of `members`.
template <typename Shared, typename T>
void launch_blocks(void (*kernel)(SelectiveScanLaunch<T>), const SelectiveScanLaunch<T>& launch,
                   int64_t blocks, int members, int threads, cudaStream_t stream) {
  const int bytes = members * static_cast<int>(sizeof(Shared));
  require_device(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<gpu::blocks_for(blocks, members, kWhere), members * threads, bytes, stream>>>(launch);
  require_device(cudaGetLastError());
}

template <typename T, int kLanes, SelectivePass kPass>
void launch_pass(const SelectiveScanLaunch<T>& launch, cudaStream_t stream) {
  constexpr SelectiveLanes kHow = kSelectiveLanes[kLanes];
  using Shared = typename Scan<T, kHow.states, kHow.lanes, kHow.channels, kPass>::Shared;
  const int64_t segments = kPass == SelectivePass::kAll ? launch.segments : launch.segments - 1;
  const int64_t blocks = blocks_of(launch, segments);
  launch_blocks<Shared>(scan_kernel<T, kHow.states, kHow.lanes, kHow.channels, kPass>, launch,
                        blocks, members_of<Shared>(blocks, launch.segments), kSelectiveThreads,
                        stream);
}

template <typename T, int kLanes>
void launch_apart(const SelectiveScanLaunch<T>& launch, cudaStream_t stream) {
  constexpr SelectiveLanes kHow = kSelectiveApartLanes[kLanes];
  static_assert(kHow.channels == 1);
  using Scan = ScanApart<T, kHow.states, kHow.lanes>;
  static_assert(sizeof(typename Scan::Shared) <= gpu::kHopperCapacity.shared_bytes);
  launch_blocks<typename Scan::Shared>(apart_kernel<T, kHow.states, kHow.lanes>, launch,
                                       blocks_of(launch, 1), 1, Scan::kParts * kSelectiveThreads,
                                       stream);
}

template <typename T, int kLanes>
void launch_all(const SelectiveScanLaunch<T>& launch, cudaStream_t stream) {
  if (launch.segments > 1) {
    launch_pass<T, kLanes, SelectivePass::kEnds>(launch, stream);
    constexpr int64_t kThreads = 256;
    const int64_t blocks = (launch.args.h.size() + kThreads - 1) / kThreads;
    carry_kernel<T><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(launch);
    require_device(cudaGetLastError());
  }
  launch_pass<T, kLanes, SelectivePass::kAll>(launch, stream);
}

template <typename T, size_t... kLanes, size_t... kApartLanes>
void launch_plan(const SelectiveScanLaunch<T>& launch, const SelectiveScanPlan& plan,
                 cudaStream_t stream, std::index_sequence<kLanes...>,
                 std::index_sequence<kApartLanes...>) {
  const size_t lanes = plan.lanes;
  if (plan.work == SelectiveWork::kApart) {
    ((kApartLanes == lanes ? launch_apart<T, kApartLanes>(launch, stream) : void()), ...);
  } else {
    ((kLanes == lanes ? launch_all<T, kLanes>(launch, stream) : void()), ...);
  }
}

}  // namespace selective_cuda

template <typename T>
void selective_scan_by_plan(const SelectiveScanCudaArgs<T>& args, const SelectiveScanPlan& plan,
                            std::span<std::byte> workspace, cudaStream_t stream) {
  const SelectiveScanCudaSize size = selective_size_of(args.in);
  require(workspace.size() >= selective_scan_plan_bytes(size, plan), selective_cuda::kWhere,
          "the workspace is too small");
  if (args.in.u.size() == 0) return;
  if (plan.work == SelectiveWork::kStep) {
    require(size.time == 1, selective_cuda::kWhere, "the plan is that of a step");
    return selective_cuda::launch_step(args, stream);
  }
  selective_cuda::launch_plan(selective_cuda::describe(args, plan, workspace.data()), plan, stream,
                              std::make_index_sequence<kSelectiveLanes.size()>(),
                              std::make_index_sequence<kSelectiveApartLanes.size()>());
}

}  // namespace longwave::ops
