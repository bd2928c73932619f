// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/selective_scan/selective_scan_kernel_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

inline constexpr const char* kWhere = "selective_scan_cuda";

inline void require_device(cudaError_t status) { gpu::require_device(status, kWhere); }

// Whether rows can be copied 16 bytes at a time.
template <typename T, int Rank>
bool wide(const View<const T, Rank>& x, int64_t row) {
  return gpu::in_pieces(x, row, 16);
}

template <typename T>
SelectiveScanLaunch<T> describe(const SelectiveScanCudaArgs<T>& args, const SelectiveScanPlan& plan,
                                std::byte* workspace) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const int64_t batch = in.u.extent(0), channels = in.u.extent(2), state = in.A.extent(1);
  const int64_t group = channels / in.B.extent(2);
  const SelectiveLanes& lanes = kSelectiveLanes[plan.lanes];
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
      .wide_C = wide(in.C, state)};
  if (plan.segments > 1) {
    float* const numbers = reinterpret_cast<float*>(workspace);
    launch.ends = {numbers, {batch, plan.segments, state, channels}};
    launch.totals = {numbers + launch.ends.size(), {batch, plan.segments, channels}};
  }
  return launch;
}

template <typename T, int kLanes, SelectivePass kPass>
void launch_pass(const SelectiveScanLaunch<T>& launch, cudaStream_t stream) {
  constexpr SelectiveLanes kHow = kSelectiveLanes[kLanes];
  using Shared = Layout<T, kHow.states, kHow.lanes, kHow.channels>;
  const auto kernel = selective_cuda::scan_kernel<T, kHow.states, kHow.lanes, kHow.channels, kPass>;
  require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)));
  const int64_t segments = kPass == SelectivePass::kAll ? launch.segments : launch.segments - 1;
  const int64_t blocks =
      launch.args.in.u.extent(0) * segments * launch.args.in.B.extent(2) * launch.group_tiles;
  require(blocks < int64_t{1} << 31, kWhere, "batch and channels need too many blocks");
  kernel<<<static_cast<unsigned>(blocks), kSelectiveThreads, sizeof(Shared), stream>>>(launch);
  require_device(cudaGetLastError());
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

template <typename T, size_t... kLanes>
void launch_lanes(const SelectiveScanLaunch<T>& launch, int lanes, cudaStream_t stream,
                  std::index_sequence<kLanes...>) {
  ((static_cast<int>(kLanes) == lanes ? launch_all<T, kLanes>(launch, stream) : void()), ...);
}

}  // namespace selective_cuda

template <typename T>
void selective_scan_by_plan(const SelectiveScanCudaArgs<T>& args, const SelectiveScanPlan& plan,
                            std::span<std::byte> workspace, cudaStream_t stream) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const SelectiveScanCudaSize size{in.u.extent(0), in.u.extent(1), in.u.extent(2), in.B.extent(2),
                                   in.A.extent(1)};
  require(workspace.size() >= selective_scan_plan_bytes(size, plan), selective_cuda::kWhere,
          "the workspace is too small");
  if (in.u.size() == 0) return;
  selective_cuda::launch_lanes(selective_cuda::describe(args, plan, workspace.data()), plan.lanes,
                               stream, std::make_index_sequence<kSelectiveLanes.size()>());
}

}  // namespace longwave::ops
