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
    const int64_t row = x.stride(1) * static_cast<int64_t>(sizeof(T));
    return gpu::in_pieces(x, group, 2 * sizeof(T)) && row == static_cast<int32_t>(row);
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
      .letters = {},
      .chains = batch * groups * tiles,
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
  if (plan.segments <= 1) return launch;
  if (plan.carry == SelectiveCarry::kChain) {
    const int64_t numbers = selective_grad_letters(state), blocks = rows * groups * tiles;
    float* const letters = scratch.take(blocks * numbers);
    launch.letters = {reinterpret_cast<gpu::MarkedPair*>(letters), {blocks, numbers / 4}};
    return launch;
  }
  launch.ends = take(std::array<int64_t, 4>{batch, plan.segments, state, channels});
  if (plan.carry == SelectiveCarry::kPass) {
    launch.totals = take(std::array<int64_t, 3>{batch, plan.segments, channels});
  } else {
    launch.turn = reinterpret_cast<uint32_t*>(scratch.take(1 + rows * groups * tiles));
    launch.handed = {launch.turn + 1, {batch, plan.segments, groups * tiles}};
  }
  return launch;
}

// A kernel, with the shared memory of its blocks, and its grid.
template <typename T, int kLanes, SelectivePass kPass>
struct GradPass {
  static constexpr SelectiveLanes kHow = kSelectiveGradLanes[kLanes];
  static constexpr auto kKernel = grad_kernel<T, kHow.states, kHow.lanes, kHow.channels, kPass>;
  static constexpr int kBytes = sizeof(GradLayout<T, kHow.states, kHow.lanes, kHow.channels>);

  static void allow_bytes() {
    gpu::require_shared_bytes(kBytes, kGradWhere,
                              "have at most 16 states a channel, or use an H100 or newer");
    gpu::require_device(
        cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
        kGradWhere);
  }
  static void launch(const SelectiveGradLaunch<T>& launch, cudaStream_t stream) {
    allow_bytes();
    const int64_t segments = kPass == SelectivePass::kEnds ? launch.segments - 1 : launch.segments;
    const int64_t blocks =
        launch.args.in.u.extent(0) * segments * launch.args.in.B.extent(2) * launch.group_tiles;
    const unsigned grid = gpu::blocks_for(blocks, 1, kGradWhere);
    if constexpr (kPass == SelectivePass::kChain) {
      // All blocks have to be there at once, or the driver refuses.
      void* parameters[] = {const_cast<SelectiveGradLaunch<T>*>(&launch)};
      gpu::require_device(
          cudaLaunchCooperativeKernel(kKernel, grid, kSelectiveThreads, parameters, kBytes, stream),
          kGradWhere);
    } else {
      kKernel<<<grid, kSelectiveThreads, kBytes, stream>>>(launch);
      gpu::require_device(cudaGetLastError(), kGradWhere);
    }
  }
};

// The plan, or one with fewer blocks a chain if the present GPU does not run so many at once.
template <typename T, int kLanes>
SelectiveScanPlan fitting(const SelectiveScanPlan& plan, const SelectiveScanCudaSize& size) {
  if (plan.carry != SelectiveCarry::kChain) return plan;
  using Pass = GradPass<T, kLanes, SelectivePass::kChain>;
  Pass::allow_bytes();
  int device = 0, cooperates = 0, blocks = 0;
  gpu::require_device(cudaGetDevice(&device), kGradWhere);
  gpu::require_device(cudaDeviceGetAttribute(&cooperates, cudaDevAttrCooperativeLaunch, device),
                      kGradWhere);
  gpu::require_device(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
                          &blocks, Pass::kKernel, kSelectiveThreads, Pass::kBytes),
                      kGradWhere);
  const int64_t chains = size.batch * size.groups * selective_grad_tiles(size);
  const int64_t places = blocks * gpu::present_capacity(kGradWhere).multiprocessors;
  const int64_t most = cooperates != 0 ? places / chains : 1;
  return most >= plan.segments
             ? plan
             : selective_grad_plan(size, std::max<int64_t>(1, most), SelectiveCarry::kChain);
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
void launch_grad(const SelectiveScanCudaGradArgs<T>& args, const SelectiveScanPlan& plan,
                 std::byte* workspace, cudaStream_t stream) {
  const auto launch =
      describe_grad(args, fitting<T, kLanes>(plan, selective_size_of(args.in)), workspace);
  const auto clear = [stream](void* first, size_t bytes) {
    gpu::require_device(cudaMemsetAsync(first, 0, bytes, stream), kGradWhere);
  };
  if (!launch.letters.absent()) {
    clear(launch.letters.data(), launch.letters.size() * sizeof(gpu::MarkedPair));
    GradPass<T, kLanes, SelectivePass::kChain>::launch(launch, stream);
  } else {
    if (launch.turn != nullptr) {
      clear(launch.turn, (1 + launch.handed.size()) * sizeof(uint32_t));
    } else if (launch.segments > 1) {
      GradPass<T, kLanes, SelectivePass::kEnds>::launch(launch, stream);
      launch_each(grad_carry_kernel<T>, launch, args.dh0.size(), stream);
    }
    GradPass<T, kLanes, SelectivePass::kAll>::launch(launch, stream);
  }
  launch_each(grad_inputs_kernel<T>, launch, launch.inputs.stride(0), stream);
  launch_each(grad_parameters_kernel<T>, launch, (args.dA.extent(1) + 2) * args.dA.extent(0),
              stream);
}

// Without steps the adjoint passes through, and sums have no terms.
template <typename T>
void launch_nothing(const SelectiveScanCudaGradArgs<T>& args, const SelectiveScanPlan& plan,
                    std::byte* workspace, cudaStream_t stream) {
  SelectiveGradLaunch<T> launch = describe_grad(args, plan, workspace);
  launch.A = launch.A.slice(0, 0, 0);
  launch.signals = launch.signals.slice(0, 0, 0);
  launch_each(grad_nothing_kernel<T>, launch, launch.args.dh0.size(), stream);
  launch_each(grad_inputs_kernel<T>, launch, launch.inputs.stride(0), stream);
  launch_each(grad_parameters_kernel<T>, launch, (args.dA.extent(1) + 2) * args.dA.extent(0),
              stream);
}

}  // namespace selective_cuda

template <typename T>
void selective_scan_grad_by_plan(const SelectiveScanCudaGradArgs<T>& args,
                                 const SelectiveScanPlan& plan, std::span<std::byte> workspace,
                                 cudaStream_t stream) {
  require(workspace.size() >= selective_grad_plan_bytes(selective_size_of(args.in), plan),
          selective_cuda::kGradWhere, "the workspace is too small");
  if (args.in.u.size() == 0) {
    selective_cuda::launch_nothing(args, plan, workspace.data(), stream);
  } else if (plan.lanes == 0) {
    selective_cuda::launch_grad<T, 0>(args, plan, workspace.data(), stream);
  } else {
    selective_cuda::launch_grad<T, 1>(args, plan, workspace.data(), stream);
  }
}

}  // namespace longwave::ops
