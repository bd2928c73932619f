// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_grad_kernel_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_sums_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_layout_cuda.cuh"
#include "longwave/ops/ssd/ssd_launch_cuda.cuh"

namespace longwave::ops {
namespace ssd_cuda_kernels {

/// Chunks of time.
template <typename T>
int64_t chunks_of(int64_t time) {
  return (time + kSsdCudaChunk<T> - 1) / kSsdCudaChunk<T>;
}

/// How a gradient is cut, and what it keeps in the workspace, in floats.
struct GradSize {
  int64_t share, chunks, splits;      // heads of a group; parts of a group's heads
  int64_t state_rows, state_columns;  // of a state as it is kept
  int64_t states;                     // before all chunks, and as much for adjoints behind them
  int64_t signals;                    // sums for dA, ddt_bias and dD
  int64_t inputs;                     // sums for dB and dC, if cut
  int64_t warpgroup_steps, warpgroup_sums;  // StepsOfChunk and SumsOfChunk, if on warpgroups
};

/// Of a D with so many columns.
template <typename T>
GradSize grad_size(const SsdSize& size, const SsdGradPlan& plan, int64_t skips) {
  const bool warpgroups = plan.engine == SsdEngine::kWarpgroups;
  const int64_t share = size.heads / std::max<int64_t>(size.groups, 1);
  const int64_t chunks = chunks_of<T>(size.time), all = size.batch * chunks * size.heads;
  const int64_t splits = std::max<int64_t>(1, (share + plan.heads - 1) / plan.heads);
  const int64_t rows = warpgroups ? kSsdColumns : size.head_dim;
  const int64_t columns = warpgroups ? warpgroup_columns(size.state) : size.state;
  constexpr int64_t kEach = sizeof(float) / sizeof(T);
  const int64_t inputs = splits * size.batch * size.time * size.groups * 2 * size.state;
  const int64_t steps = sizeof(StepsOfChunk) / sizeof(float);
  const int64_t sums = sizeof(SumsOfChunk) / sizeof(float);
  return {.share = share,
          .chunks = chunks,
          .splits = splits,
          .state_rows = rows,
          .state_columns = columns,
          .states = (all * rows * columns + kEach - 1) / kEach,
          .signals = size.heads * (2 + skips) * size.batch * chunks,
          .inputs = splits > 1 ? inputs : 0,
          .warpgroup_steps = warpgroups ? all * steps : 0,
          .warpgroup_sums = warpgroups ? all * sums : 0};
}

template <typename T>
SsdGradLaunch<T> describe_gradient(const SsdCudaGradArgs<T>& args, const SsdGradPlan& plan,
                                   gpu::DeviceScratch& scratch) {
  const auto [batch, time, heads, head_dim, groups, state] = ssd_size_of(args.in);
  const int64_t skips = args.in.D.absent() ? 0 : args.in.D.extent(1);
  const GradSize sizes = grad_size<T>(ssd_size_of(args.in), plan, skips);
  const int64_t chunks = sizes.chunks;
  const auto wide = [](const auto& x, int64_t row) { return gpu::in_pieces(x, row, 16); };
  const auto paired = [](const auto& x) {
    // The last of an odd number of elements goes alone.
    return gpu::in_pieces(x, 2, 2 * sizeof(T)) && x.extent(3) > 1;
  };
  const std::array<int64_t, 5> states{batch, chunks, heads, sizes.state_rows, sizes.state_columns};
  SsdGradLaunch<T> launch{
      .args = args,
      .h = {reinterpret_cast<T*>(scratch.take(sizes.states)), states},
      .g = {reinterpret_cast<T*>(scratch.take(sizes.states)), states},
      .inputs = {},
      .signals = {scratch.take(sizes.signals), {heads, 2 + skips, batch * chunks}},
      .plan = plan,
      .share = sizes.share,
      .chunks = chunks,
      .splits = sizes.splits,
      .tiles = std::max<int64_t>(1, (head_dim + plan.columns - 1) / plan.columns),
      .wide_x = wide(args.in.x, head_dim),
      .wide_dy = wide(args.dy, head_dim),
      .wide_B = wide(args.in.B, state),
      .wide_C = wide(args.in.C, state),
      .wide_states = state % (16 / static_cast<int64_t>(sizeof(T))) == 0,
      .paired_dx = paired(args.dx),
      .paired_dB = paired(args.dB),
      .paired_dC = paired(args.dC)};
  if (sizes.splits > 1) {
    launch.inputs = {scratch.take(sizes.inputs), {sizes.splits, batch, time, groups, 2, state}};
  }
  return launch;
}

/// The states before chunks, and the adjoints behind them with dh0.
template <typename T, int kStates>
void launch_states(const SsdGradLaunch<T>& to, gpu::DeviceScratch& scratch, cudaStream_t stream) {
  const SsdCudaGradArgs<T>& args = to.args;
  SsdMarchLaunch<T> march = describe_march(args.in, to.plan.march, scratch);
  // The state behind the last chunk is not wanted; what becomes of it is overwritten.
  march.from = args.h0;
  march.to = args.dh0;
  march.states = to.h;
  launch_marches<T, kStates, SsdMarch::kStates, SsdWay::kForwards>(march, stream);
  march.from = args.dh;
  march.signals = args.dy;
  march.wide_signals = to.wide_dy;
  march.rows = args.in.C;
  march.wide_rows = to.wide_C;
  march.states = to.g;
  launch_marches<T, kStates, SsdMarch::kStates, SsdWay::kBackwards>(march, stream);
}

/// States that the kernels of chunks hold: fewer have kernels of their own in a march only.
template <int kStates>
inline constexpr int kGradStates = kStates < 64 ? 64 : kStates;

/// Half the columns of a tile, where shared memory is short.
inline constexpr int kNarrowColumns = kSsdColumns / 2;

/// Bytes of shared memory of a block that finds the gradients of a chunk.
template <typename T>
int chunk_bytes(int64_t state, int columns) {
  return with_state_count(state, [&](auto states) -> int {
    constexpr int kStates = kGradStates<states>;
    return columns < kSsdColumns ? sizeof(GradLayout<T, kStates, kNarrowColumns>)
                                 : sizeof(GradLayout<T, kStates, kSsdColumns>);
  });
}

template <typename T, int kStates, int kColumns>
void launch_chunks(const SsdGradLaunch<T>& launch, cudaStream_t stream) {
  const auto kernel = chunk_gradient_kernel<T, kStates, kColumns>;
  using Shared = GradLayout<T, kStates, kColumns>;
  const int64_t blocks =
      launch.args.in.x.extent(0) * launch.chunks * launch.args.in.B.extent(2) * launch.splits;
  if (blocks == 0) return;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)),
      kGradWhere);
  const int threads = Shared::kWarps * 32;
  kernel<<<gpu::blocks_for(blocks, 1, kGradWhere), threads, sizeof(Shared), stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

/// All but the sums, with kernels for any GPU.
template <typename T>
void launch_on_warps(const SsdGradLaunch<T>& launch, gpu::DeviceScratch& scratch,
                     cudaStream_t stream) {
  with_state_count(launch.args.in.B.extent(3), [&](auto states) {
    launch_states<T, states>(launch, scratch, stream);
    constexpr int kStates = kGradStates<states>;
    if (launch.plan.columns < kSsdColumns) {
      launch_chunks<T, kStates, kNarrowColumns>(launch, stream);
    } else {
      launch_chunks<T, kStates, kSsdColumns>(launch, stream);
    }
  });
}

/// Whether rows of all operands can be passed on 16 bytes at a time.
template <typename T>
bool has_wide_rows(const SsdGradLaunch<T>& launch) {
  const SsdCudaGradArgs<T>& args = launch.args;
  const int64_t head_dim = args.in.x.extent(3), state = args.in.B.extent(3);
  return launch.wide_x && launch.wide_dy && launch.wide_B && launch.wide_C &&
         gpu::in_pieces(args.dx, head_dim, 16) && gpu::in_pieces(args.dB, state, 16) &&
         gpu::in_pieces(args.dC, state, 16);
}

template <typename T>
void launch_sums(const SsdGradLaunch<T>& launch, cudaStream_t stream) {
  const int64_t numbers = launch.signals.extent(0) * launch.signals.extent(1);
  if (numbers > 0) {
    grad_parameters_kernel<T>
        <<<gpu::blocks_for(numbers, 1, kGradWhere), kSumThreads, 0, stream>>>(launch);
    gpu::require_device(cudaGetLastError(), kGradWhere);
  }
  if (launch.splits > 1 && launch.inputs.stride(0) > 0) {
    grad_inputs_kernel<T><<<gpu::blocks_for(launch.inputs.stride(0), kSumThreads, kGradWhere),
                            kSumThreads, 0, stream>>>(launch);
    gpu::require_device(cudaGetLastError(), kGradWhere);
  }
}

}  // namespace ssd_cuda_kernels

template <typename T>
bool ssd_grad_fits_warpgroups(const SsdSize& size) {
  // Rows of head_dim have room in one tile.
  return size.head_dim <= kSsdColumns && size.batch > 0 && size.time > 0 && size.heads > 0 &&
         ssd_cuda_kernels::has_warpgroup_tiles<T>(size);
}

template <typename T>
int ssd_grad_shared_bytes(const SsdSize& size, const SsdGradPlan& plan) {
  using namespace ssd_cuda_kernels;
  return std::max(march_bytes<T, SsdMarch::kStates>(size, plan.march),
                  chunk_bytes<T>(size.state, plan.columns));
}

template <typename T>
int64_t ssd_grad_most_states(const gpu::Capacity& capacity) {
  using namespace ssd_cuda_kernels;
  int64_t states = kSsdCudaStates;
  while (states > 1 && chunk_bytes<T>(states, kNarrowColumns) > capacity.shared_bytes) states /= 2;
  return states;
}

template <typename T>
SsdGradPlan ssd_grad_plan(const SsdSize& size, const gpu::Capacity& capacity, int64_t heads) {
  using namespace ssd_cuda_kernels;
  SsdGradPlan plan{ssd_plan<T>(size, capacity), heads};
  if (chunk_bytes<T>(size.state, kSsdColumns) > capacity.shared_bytes) {
    plan.columns = kNarrowColumns;
  }
  return plan;
}

template <typename T>
SsdGradPlan ssd_grad_plan(const SsdSize& size, const gpu::Capacity& capacity) {
  using namespace ssd_cuda_kernels;
  // What a block does for all its heads, in units of what it does for one.
  constexpr double kShared = 1.0;
  const int64_t share = std::max<int64_t>(1, size.heads / std::max<int64_t>(size.groups, 1));
  const int64_t chunks = chunks_of<T>(size.time);
  int64_t best = share;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t splits = 1; splits <= std::min<int64_t>(share, 16); ++splits) {
    const int64_t heads = (share + splits - 1) / splits;
    const int64_t blocks = size.batch * chunks * size.groups * splits;
    const int64_t rounds = (blocks + capacity.multiprocessors - 1) / capacity.multiprocessors;
    const double time = rounds * (heads + kShared);
    if (time < least) {
      least = time;
      best = heads;
    }
  }
  return ssd_grad_plan<T>(size, capacity, best);
}

template <typename T>
SsdGradPlan ssd_grad_plan(const SsdSize& size) {
  using namespace ssd_cuda_kernels;
  SsdGradPlan plan = ssd_grad_plan<T>(size, gpu::present_capacity(kGradWhere));
  if (ssd_grad_fits_warpgroups<T>(size)) plan.engine = SsdEngine::kWarpgroups;
  return plan;
}

template <typename T>
size_t ssd_grad_plan_bytes(const SsdSize& size, const SsdGradPlan& plan) {
  using gpu::DeviceScratch;
  // Also without rows of head_dim there may be a skip for each head.
  const int64_t skips = std::max<int64_t>(size.head_dim, 1);
  const auto sizes = ssd_cuda_kernels::grad_size<T>(size, plan, skips);
  return 2 * DeviceScratch::bytes(sizes.states) + DeviceScratch::bytes(sizes.signals) +
         DeviceScratch::bytes(sizes.inputs) + DeviceScratch::bytes(sizes.warpgroup_steps) +
         DeviceScratch::bytes(sizes.warpgroup_sums) + ssd_plan_bytes(size, plan.march);
}

template <typename T>
void ssd_grad_by_plan(const SsdCudaGradArgs<T>& args, const SsdGradPlan& plan,
                      std::span<std::byte> workspace, cudaStream_t stream) {
  using namespace ssd_cuda_kernels;
  const SsdSize size = ssd_size_of(args.in);
  require(workspace.size() >= ssd_grad_plan_bytes<T>(size, plan), kGradWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  SsdGradLaunch<T> launch = describe_gradient(args, plan, scratch);
  if (plan.engine == SsdEngine::kWarpgroups && has_wide_rows(launch)) {
    if constexpr (sizeof(T) == 2) {
      const std::array<int64_t, 3> extents{size.batch, launch.chunks, size.heads};
      const GradSize sizes = grad_size<T>(size, plan, size.head_dim);
      float* const steps = scratch.take(sizes.warpgroup_steps);
      float* const sums = scratch.take(sizes.warpgroup_sums);
      ssd_grad_on_warpgroups<T>({.common = launch,
                                 .steps = {reinterpret_cast<StepsOfChunk*>(steps), extents},
                                 .sums = {reinterpret_cast<SumsOfChunk*>(sums), extents}},
                                stream);
    }
  } else {
    gpu::require_shared_bytes(ssd_grad_shared_bytes<T>(size, plan), kGradWhere, kFewerStates);
    // What was kept for tiles has room for states as they are.
    const std::array<int64_t, 5> states{size.batch, launch.chunks, size.heads, size.head_dim,
                                        size.state};
    launch.h = {launch.h.data(), states};
    launch.g = {launch.g.data(), states};
    launch_on_warps(launch, scratch, stream);
  }
  launch_sums(launch, stream);
}

}  // namespace longwave::ops
