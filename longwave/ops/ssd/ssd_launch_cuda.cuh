// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/tile_map_cuda.h"
#include "longwave/ops/ssd/ssd_march_carry_cuda.cuh"
#include "longwave/ops/ssd/ssd_march_cuda.cuh"
#include "longwave/ops/ssd/ssd_plan_cuda.h"
#include "longwave/ops/ssd/ssd_size.h"
#include "longwave/ops/ssd/ssd_step_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"
#include "longwave/ops/ssd/ssd_warpgroup_plan_cuda.h"

namespace longwave::ops {
namespace ssd_cuda_kernels {

/// Calls what(std::integral_constant<int, n>) with the least n that kernels exist for and that
/// holds `state`.
template <typename What>
auto with_state_count(int64_t state, What&& what) {
  if (state <= 32) return what(std::integral_constant<int, 32>());
  if (state <= 64) return what(std::integral_constant<int, 64>());
  if (state <= 128) return what(std::integral_constant<int, 128>());
  return what(std::integral_constant<int, 256>());
}

/// Warps of a head: 16 rows each of at most kSsdColumns.
inline int warps_of_head(int64_t head_dim) {
  const int64_t rows = std::clamp<int64_t>(head_dim, 1, kSsdColumns);
  return static_cast<int>((rows + kSsdRows - 1) / kSsdRows);
}

/// What to do where blocks have no room.
inline constexpr const char* kFewerStates =
    "have at most 128 states, or use a GPU with more shared memory a block, an A100 or H100";

/// Bytes of shared memory that a block of a march takes.
template <typename T, SsdMarch kMarch>
int march_bytes(const SsdSize& size, const SsdPlan& plan) {
  return with_state_count(size.state, [&](auto states) {
    return MarchLayout<T, states, kMarch>{plan.heads, warps_of_head(size.head_dim), plan.stages}
        .bytes();
  });
}

template <typename T, int kStates, SsdMarch kMarch, SsdWay kWay>
void launch_march(const SsdMarchLaunch<T>& launch, cudaStream_t stream) {
  const auto kernel = march_kernel<T, kStates, kMarch, kWay>;
  const MarchLayout<T, kStates, kMarch> layout{launch.plan.heads, launch.warps, launch.plan.stages};
  const View<const T, 4>& x = launch.in.x;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, layout.bytes()),
      kWhere);
  const int64_t segments = launch.plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
  const int64_t blocks =
      x.extent(0) * segments * column_tiles(x.extent(3)) * (x.extent(2) / launch.plan.heads);
  if (blocks == 0) return;
  const int threads = launch.plan.heads * launch.warps * 32;
  kernel<<<gpu::blocks_for(blocks, 1, kWhere), threads, layout.bytes(), stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kWhere);
}

/// Turns what each segment adds into the state before it.
template <typename T, SsdWay kWay>
void launch_carry(const SsdMarchLaunch<T>& launch, cudaStream_t stream) {
  if (launch.to.size() == 0) return;
  constexpr int64_t kThreads = 256;
  march_carry_kernel<T, kWay>
      <<<gpu::blocks_for(launch.to.size(), kThreads, kWhere), kThreads, 0, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kWhere);
}

/// Marches through all segments: where there are several, first for what each adds.
template <typename T, int kStates, SsdMarch kMarch, SsdWay kWay>
void launch_marches(const SsdMarchLaunch<T>& launch, cudaStream_t stream) {
  if (launch.plan.segments > 1) {
    launch_march<T, kStates, SsdMarch::kEnds, kWay>(launch, stream);
    launch_carry<T, kWay>(launch, stream);
  }
  launch_march<T, kStates, kMarch, kWay>(launch, stream);
}

/// The march that carries the state, but for its outputs.
template <typename T>
SsdMarchLaunch<T> describe_march(const SsdCudaInputs<T>& in, const SsdPlan& plan,
                                 gpu::DeviceScratch& scratch) {
  const int64_t batch = in.x.extent(0), heads = in.x.extent(2), head_dim = in.x.extent(3);
  const int64_t groups = in.B.extent(2), state = in.B.extent(3);
  SsdMarchLaunch<T> launch{.in = in,
                           .signals = in.x,
                           .rows = in.B,
                           .from = {},
                           .to = {},
                           .ends = {},
                           .totals = {},
                           .states = {},
                           .y = {},
                           .plan = plan,
                           .share = heads / std::max<int64_t>(groups, 1),
                           .warps = warps_of_head(head_dim),
                           .wide_signals = gpu::in_pieces(in.x, head_dim, 16),
                           .wide_rows = gpu::in_pieces(in.B, state, 16),
                           .wide_C = gpu::in_pieces(in.C, state, 16),
                           .wide_y = false};
  if (plan.segments > 1) {
    launch.ends = {scratch.take(batch * plan.segments * heads * head_dim * state),
                   {batch, plan.segments, heads, head_dim, state}};
    launch.totals = {scratch.take(batch * plan.segments * heads), {batch, plan.segments, heads}};
  }
  return launch;
}

}  // namespace ssd_cuda_kernels

template <typename T>
int ssd_shared_bytes(const SsdSize& size, const SsdPlan& plan) {
  return ssd_cuda_kernels::march_bytes<T, SsdMarch::kOutputs>(size, plan);
}

template <typename T>
SsdPlan ssd_plan(const SsdSize& size, const gpu::Capacity& capacity, int heads, int64_t segments) {
  SsdPlan plan = ssd_cuda_kernels::cut<T>(size, heads, segments);
  SsdPlan one = plan;
  one.heads = 1;
  if (ssd_shared_bytes<T>(size, one) > capacity.shared_bytes) plan.stages = 1;
  return plan;
}

template <typename T>
int ssd_most_heads(const SsdSize& size, const gpu::Capacity& capacity) {
  using namespace ssd_cuda_kernels;
  const int threads =
      with_state_count(size.state, [](auto states) { return kMarchThreads<T, states>; });
  int heads = threads / 32 / warps_of_head(size.head_dim);
  while (heads > 1 &&
         ssd_shared_bytes<T>(size, ssd_plan<T>(size, capacity, heads, 1)) > capacity.shared_bytes) {
    --heads;
  }
  return heads;
}

template <typename T>
SsdPlan ssd_plan(const SsdSize& size, const gpu::Capacity& capacity) {
  using namespace ssd_cuda_kernels;
  // What a block does for all its heads, in units of what it does for one.
  constexpr double kShared = 0.6;
  // The pass for the ends of segments, likewise.
  constexpr double kTwice = 1.5;
  // Shorter segments are not worth a pass.
  constexpr int64_t kShortest = 4 * kSsdCudaChunk<T>;
  const int64_t share = size.heads / std::max<int64_t>(size.groups, 1);
  const int64_t units = size.batch * size.heads * column_tiles(size.head_dim);
  const int64_t multiprocessors = capacity.multiprocessors;
  SsdPlan best = ssd_plan<T>(size, capacity, 1, 1);
  double least = std::numeric_limits<double>::infinity();
  const auto consider = [&](int heads, int64_t segments, double cost) {
    const SsdPlan plan = ssd_plan<T>(size, capacity, heads, segments);
    const int64_t blocks = units / heads * plan.segments;
    const int64_t rounds = (blocks + multiprocessors - 1) / multiprocessors;
    const double time = cost * rounds * (heads + kShared) / plan.segments;
    if (time < least) {
      least = time;
      best = plan;
    }
  };
  for (int heads = 1; heads <= ssd_most_heads<T>(size, capacity); ++heads) {
    if (share % heads != 0) continue;
    consider(heads, 1, 1);
    const int64_t blocks = std::max<int64_t>(1, units / heads);
    const int64_t segments = std::min(size.time / kShortest, multiprocessors / blocks);
    if (segments > 1) consider(heads, segments, kTwice);
  }
  return best;
}

namespace ssd_cuda_kernels {

/// Scans on warpgroups, and returns false if they do not take the strides of the operands.
template <typename T>
bool scan_on_warpgroups(const SsdMarchLaunch<T>& launch, cudaStream_t stream) {
  if constexpr (sizeof(T) == 2) {
    if (!launch.wide_signals || !launch.wide_rows || !launch.wide_C || !launch.wide_y) return false;
    const auto signals = gpu::tile_map(launch.signals), rows = gpu::tile_map(launch.rows),
               reads = gpu::tile_map(launch.in.C), outputs = gpu::tile_map<T>(launch.y);
    if (!signals || !rows || !reads || !outputs) return false;
    const SsdWarpgroupLaunch<T> tiles{launch, *signals, *rows, *reads, *outputs};
    if (launch.plan.segments > 1) {
      launch_on_warpgroups(tiles, SsdMarch::kEnds, stream);
      launch_carry<T, SsdWay::kForwards>(launch, stream);
    }
    launch_on_warpgroups(tiles, SsdMarch::kOutputs, stream);
    return true;
  } else {
    return false;
  }
}

}  // namespace ssd_cuda_kernels

template <typename T>
void ssd_by_plan(const SsdCudaArgs<T>& args, const SsdPlan& plan, std::span<std::byte> workspace,
                 cudaStream_t stream) {
  using namespace ssd_cuda_kernels;
  const SsdSize size = ssd_size_of(args.in);
  require(workspace.size() >= ssd_plan_bytes(size, plan), kWhere, "the workspace is too small");
  if (args.in.x.size() == 0) return;
  if (plan.engine == SsdEngine::kStep) {
    require(size.time == 1, kWhere, "the plan is that of a step");
    return launch_step(args, stream);
  }
  gpu::DeviceScratch scratch(workspace.data());
  SsdMarchLaunch<T> launch = describe_march(args.in, plan, scratch);
  launch.from = args.h;
  launch.to = args.h;
  launch.y = args.y;
  launch.wide_y = gpu::in_pieces(args.y, size.head_dim, 16);
  if (plan.engine == SsdEngine::kWarpgroups && scan_on_warpgroups(launch, stream)) return;
  gpu::require_shared_bytes(ssd_shared_bytes<T>(size, plan), kWhere, kFewerStates);
  with_state_count(size.state, [&](auto states) {
    launch_marches<T, states, SsdMarch::kOutputs, SsdWay::kForwards>(launch, stream);
  });
}

}  // namespace longwave::ops
