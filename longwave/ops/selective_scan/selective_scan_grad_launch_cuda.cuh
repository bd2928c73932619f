// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/selective_scan/selective_scan_grad_kernel_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_sums_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_kernel_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

template <typename T>
SelectiveGradLaunch<T> describe_grad(const SelectiveScanCudaGradArgs<T>& args,
                                     const SelectiveScanPlan& plan, std::byte* workspace) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const int64_t batch = in.u.extent(0), time = in.u.extent(1), channels = in.u.extent(2);
  const int64_t groups = in.B.extent(2), state = in.A.extent(1), group = channels / groups;
  const int64_t width = selective_grad_width(state), tiles = (group + width - 1) / width;
  const int64_t rows = batch * plan.segments;
  const auto wide = [](const auto& x, int64_t row) { return gpu::in_pieces(x, row, 16); };
  const auto paired = [group](const View<T, 3>& x) {
    return gpu::in_pieces(x, group, 2 * sizeof(T));
  };
  gpu::DeviceScratch scratch(workspace);
  const auto take = [&scratch]<size_t kRank>(const std::array<int64_t, kRank>& extents) {
    int64_t count = 1;
    for (const int64_t extent : extents) count *= extent;
    return View<float, static_cast<int>(kRank)>(scratch.take(count), extents);
  };
  SelectiveGradLaunch<T> launch{
      .args = args,
      .inputs =
          take(std::array<int64_t, 6>{tiles, batch, time, groups, 2, selective_grad_fours(state)}),
      .A = take(std::array<int64_t, 3>{rows, state, channels}),
      .signals = take(std::array<int64_t, 3>{rows, 2, channels}),
      .ends = {},
      .totals = {},
      .turn = nullptr,
      .handed = {},
      .segments = plan.segments,
      .segment_steps = plan.segment_steps,
      .group_channels = group,
      .group_tiles = tiles,
      .wide_u = wide(in.u, group),
      .wide_dt = wide(in.dt, group),
      .wide_z = wide(in.z, group),
      .wide_dy = wide(args.dy, group),
      .wide_B = wide(in.B, state),
      .wide_C = wide(in.C, state),
      .wide_states = wide(args.states, group),
      .paired = paired(args.du) && paired(args.ddt) && (args.dz.absent() || paired(args.dz))};
  if (plan.segments > 1) {
    launch.ends = take(std::array<int64_t, 4>{batch, plan.segments, state, channels});
    if (plan.carry == SelectiveCarry::kPass) {
      launch.totals = take(std::array<int64_t, 3>{batch, plan.segments, channels});
    } else {
      launch.turn = reinterpret_cast<uint32_t*>(scratch.take(1 + rows * groups * tiles));
      launch.handed = {launch.turn + 1, {batch, plan.segments, groups * tiles}};
    }
  }
  return launch;
}

template <typename T, int kLanes, SelectivePass kPass>
void launch_grad_pass(const SelectiveGradLaunch<T>& launch, cudaStream_t stream) {
  constexpr SelectiveLanes kHow = kSelectiveGradLanes[kLanes];
  using Shared = GradLayout<T, kHow.states, kHow.lanes, kHow.channels>;
  const auto kernel = grad_kernel<T, kHow.states, kHow.lanes, kHow.channels, kPass>;
  gpu::require_shared_bytes(sizeof(Shared), kGradWhere,
                            "have at most 16 states a channel, or use an H100 or newer");
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)),
      kGradWhere);
  const int64_t segments = kPass == SelectivePass::kAll ? launch.segments : launch.segments - 1;
  const int64_t blocks =
      launch.args.in.u.extent(0) * segments * launch.args.in.B.extent(2) * launch.group_tiles;
  kernel<<<gpu::blocks_for(blocks, 1, kGradWhere), kSelectiveThreads, sizeof(Shared), stream>>>(
      launch);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

// One of the kernels whose threads each see to one number.
template <typename T>
void launch_each(void (*kernel)(SelectiveGradLaunch<T>), const SelectiveGradLaunch<T>& launch,
                 int64_t count, cudaStream_t stream) {
  constexpr int64_t kThreads = 256;
  if (count == 0) return;
  kernel<<<gpu::blocks_for(count, kThreads, kGradWhere), kThreads, 0, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

template <typename T, int kLanes>
void launch_grad(const SelectiveGradLaunch<T>& launch, cudaStream_t stream) {
  const SelectiveScanCudaGradArgs<T>& args = launch.args;
  if (launch.turn != nullptr) {
    gpu::require_device(
        cudaMemsetAsync(launch.turn, 0, (1 + launch.handed.size()) * sizeof(uint32_t), stream),
        kGradWhere);
  } else if (launch.segments > 1) {
    launch_grad_pass<T, kLanes, SelectivePass::kEnds>(launch, stream);
    launch_each(grad_carry_kernel<T>, launch, args.dh0.size(), stream);
  }
  launch_grad_pass<T, kLanes, SelectivePass::kAll>(launch, stream);
  launch_each(grad_inputs_kernel<T>, launch, launch.inputs.stride(0), stream);
  launch_each(grad_parameters_kernel<T>, launch, (args.dA.extent(1) + 2) * args.dA.extent(0),
              stream);
}

// Without steps the adjoint passes through, and sums have no terms.
template <typename T>
void launch_nothing(SelectiveGradLaunch<T>& launch, cudaStream_t stream) {
  launch.A = launch.A.slice(0, 0, 0);
  launch.signals = launch.signals.slice(0, 0, 0);
  launch_each(grad_nothing_kernel<T>, launch, launch.args.dh0.size(), stream);
  launch_each(grad_inputs_kernel<T>, launch, launch.inputs.stride(0), stream);
  launch_each(grad_parameters_kernel<T>, launch,
              (launch.args.dA.extent(1) + 2) * launch.args.dA.extent(0), stream);
}

}  // namespace selective_cuda

template <typename T>
void selective_scan_grad_by_plan(const SelectiveScanCudaGradArgs<T>& args,
                                 const SelectiveScanPlan& plan, std::span<std::byte> workspace,
                                 cudaStream_t stream) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const SelectiveScanCudaSize size{in.u.extent(0), in.u.extent(1), in.u.extent(2), in.B.extent(2),
                                   in.A.extent(1)};
  require(workspace.size() >= selective_grad_plan_bytes(size, plan), selective_cuda::kGradWhere,
          "the workspace is too small");
  auto launch = selective_cuda::describe_grad(args, plan, workspace.data());
  if (in.u.size() == 0) {
    selective_cuda::launch_nothing(launch, stream);
    return;
  }
  if (plan.lanes == 0) {
    selective_cuda::launch_grad<T, 0>(launch, stream);
  } else {
    selective_cuda::launch_grad<T, 1>(launch, stream);
  }
}

}  // namespace longwave::ops
