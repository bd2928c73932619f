// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/selective_scan/selective_scan_cuda.h"

namespace longwave::ops {

namespace selective_cuda {

/// Where errors of the scan and of its gradient say that they are.
inline constexpr const char* kWhere = "selective_scan_cuda";
inline constexpr const char* kGradWhere = "selective_scan_cuda_backward";

}  // namespace selective_cuda

/// The extents of what a scan reads.
template <typename T>
SelectiveScanCudaSize selective_size_of(const SelectiveScanCudaInputs<T>& in) {
  return {in.u.extent(0), in.u.extent(1), in.u.extent(2), in.B.extent(2), in.A.extent(1)};
}

/// How a warp shares work: a thread holds `states` states of each of `channels` neighbours, and
/// `lanes` threads hold a channel.
struct SelectiveLanes {
  int states, lanes, channels;

  constexpr int most_states() const { return states * lanes; }
};

/// Threads of a block, or of each of its members (selective_scan_tiles_cuda.cuh).
inline constexpr int kSelectiveThreads = 128;

/// All the ways that kernels exist for; of equal most_states(), the one with fewer threads first.
inline constexpr std::array<SelectiveLanes, 8> kSelectiveLanes = {
    {{4, 2, 2}, {8, 2, 1}, {4, 4, 1}, {4, 8, 2}, {4, 16, 2}, {8, 16, 2}, {8, 32, 1}, {32, 32, 1}}};

/// How a segment of time comes by what passes on from its neighbour: a pass over all segments
/// finds it first; or, of a gradient alone, the block that computes the neighbour hands it over at
/// its end, or blocks take the tiles of time in turn and hand it on from tile to tile.
enum class SelectiveCarry : uint8_t { kPass, kHandOver, kChain };

/// What the warps of a block do: all of them prepare a tile of steps, scan it and finish its
/// outputs; or each does one of the three all the time, which lets few warps scan without a pause;
/// or time is one step, without a tile.
enum class SelectiveWork : uint8_t { kShared, kApart, kStep };

/// The ways of warps that work apart.
inline constexpr std::array<SelectiveLanes, 2> kSelectiveApartLanes = {{{4, 4, 1}, {2, 8, 1}}};

/// How a scan is spread over a GPU.
struct SelectiveScanPlan {
  int lanes = 0;              ///< index into the ways of `work`; of a step the shapes decide
  int64_t segments = 1;       ///< of time, scanned side by side; 1 where warps work apart
  int64_t segment_steps = 0;  ///< of each but the last, a multiple of the chunk; not of a chain
  SelectiveCarry carry = SelectiveCarry::kPass;
  SelectiveWork work = SelectiveWork::kShared;
};

/// How a plan's warps share channels.
constexpr const SelectiveLanes& selective_lanes_of(const SelectiveScanPlan& plan) {
  return plan.work == SelectiveWork::kApart ? kSelectiveApartLanes[plan.lanes]
                                            : kSelectiveLanes[plan.lanes];
}

/// The plan with that sharing and at most that many segments.
SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size, int lanes,
                                      int64_t segments);

/// Whether warps can work apart: their tiles take as much shared memory as a block has on Hopper.
constexpr bool selective_fits_apart(const gpu::Capacity& capacity) {
  return capacity.shared_bytes >= gpu::kHopperCapacity.shared_bytes;
}

/// The plan of warps that work apart, with that sharing.
SelectiveScanPlan selective_apart_plan(const SelectiveScanCudaSize& size, int lanes);

/// The plan that fills a GPU, or the present one; the shapes and its capacity alone decide.
SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size,
                                      const gpu::Capacity& capacity);
SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size);

/// Bytes of device memory that a plan takes.
size_t selective_scan_plan_bytes(const SelectiveScanCudaSize& size, const SelectiveScanPlan& plan);

/// The ways that kernels of the gradient exist for.
inline constexpr std::array<SelectiveLanes, 2> kSelectiveGradLanes = {{{4, 4, 2}, {4, 16, 2}}};

/// Channels of a block of the gradient, for so many states.
constexpr int64_t selective_grad_width(int64_t state) {
  const SelectiveLanes& how = kSelectiveGradLanes[state <= 16 ? 0 : 1];
  return kSelectiveThreads / how.lanes * how.channels;
}

/// Blocks of the gradient side by side, for the channels of a group.
constexpr int64_t selective_grad_tiles(const SelectiveScanCudaSize& size) {
  const int64_t width = selective_grad_width(size.state);
  return (size.channels / std::max<int64_t>(1, size.groups) + width - 1) / width;
}

/// Numbers of a block's letters to the next one of its chain: the states that its threads hold, and
/// a mark with each.
constexpr int64_t selective_grad_letters(int64_t state) {
  const SelectiveLanes& how = kSelectiveGradLanes[state <= 16 ? 0 : 1];
  return 2 * how.states * how.channels * kSelectiveThreads;
}

/// States for which a block leaves room in its sums for dB and dC.
constexpr int64_t selective_grad_fours(int64_t state) { return (state + 3) / 4 * 4; }

/// How the gradient is spread over a GPU: with at most so many segments, or filling it.
SelectiveScanPlan selective_grad_plan(const SelectiveScanCudaSize& size, int64_t segments,
                                      SelectiveCarry carry = SelectiveCarry::kPass);
SelectiveScanPlan selective_grad_plan(const SelectiveScanCudaSize& size);

/// The same for operands of T. Of float32's blocks with up to 16 states two share a multiprocessor,
/// not three: it takes fewer segments and hands nothing over, and so needs less memory.
template <typename T>
SelectiveScanPlan selective_grad_plan_of(const SelectiveScanCudaSize& size) {
  const SelectiveScanPlan plan = selective_grad_plan(size);
  if (!std::is_same_v<T, float> || plan.segments == 1) return plan;
  if (plan.carry == SelectiveCarry::kChain && size.state > 16) return plan;
  const bool hands = plan.carry == SelectiveCarry::kHandOver;
  return selective_grad_plan(size, hands ? 1 : std::max<int64_t>(1, plan.segments * 2 / 3),
                             plan.carry);
}

/// Bytes of device memory that a plan of the gradient takes.
size_t selective_grad_plan_bytes(const SelectiveScanCudaSize& size, const SelectiveScanPlan& plan);

/// selective_scan_cuda and its gradient by a given plan, for tests and measurements.
template <typename T>
void selective_scan_by_plan(const SelectiveScanCudaArgs<T>& args, const SelectiveScanPlan& plan,
                            std::span<std::byte> workspace, CUstream_st* stream);
template <typename T>
void selective_scan_grad_by_plan(const SelectiveScanCudaGradArgs<T>& args,
                                 const SelectiveScanPlan& plan, std::span<std::byte> workspace,
                                 CUstream_st* stream);

}  // namespace longwave::ops
