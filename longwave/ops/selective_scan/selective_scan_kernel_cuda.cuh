// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_states_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// A member's channels and segment of time, where all its warps prepare, scan and finish a tile.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Scan : private States<T, kStates, kLanes, kChannels, kPass, SelectiveWork::kShared> {
 public:
  using Base = States<T, kStates, kLanes, kChannels, kPass, SelectiveWork::kShared>;
  using Base::kAll, Base::kSteps, Base::kWarpWidth;
  using typename Base::Shared;

  __device__ Scan(const SelectiveScanLaunch<T>& launch, Shared& shared, int members)
      : Base(launch, shared), members_(members) {}

  static constexpr int kMostMembers = Shared::kBlocks;

  __device__ void run() {
    begin();
    begin_loads();
    if (kAll) begin_outputs();
    if (begin_ < end_) load(begin_, 0);
    int stage = 0;
    for (int64_t t = begin_; t < end_; t += kSteps, stage ^= 1) {
      if (members_ > 1) await_turn(t);
      gpu::finish_copies();
      meet();
      if (t + kSteps < end_) load(t + kSteps, stage ^ 1);
      const bool starts = prepare(t, stage, shared_.slots[0]);
      if (kAll) keep(t);
      if (members_ > 1) pass_turn(t);
      starts ? march<true>() : march<false>();
      if (!kAll) continue;
      meet();
      finish(t, stage, shared_.slots[0]);
    }
    end();
  }

 private:
  using Base::begin, Base::end, Base::keep, Base::place, Base::read_states;
  using Base::begin_, Base::end_, Base::lane_, Base::mine_, Base::A_, Base::h_, Base::total_;
  using Base::begin_loads, Base::begin_outputs, Base::finish, Base::load, Base::prepare;
  using Base::kBeside, Base::meet, Base::member_, Base::shared_;
  using typename Base::Slot;

  // The even and the odd lanes of a channel are added up apart: what finishes outputs adds these
  // two. Of kAdded lanes the outputs of kGroup steps are added up together, and kShare lanes end
  // with the same. Two lanes of two channels add nothing up, of more each ends with one of its
  // channels.
  static constexpr int kAdded = kLanes > 2 ? kLanes / kChannels / 2 : 1;
  static constexpr int kGroup = kAdded < 4 ? kAdded : 4;
  static constexpr int kShare = kAdded / kGroup;
  static constexpr int kEnding = kLanes > 2 ? 1 : kChannels;

  // Members take turns to prepare a tile. Else those whose warps the multiprocessor prefers run
  // ahead and leave the last to run alone; and while one prepares, the others' marches have the
  // units for exponentials to themselves.
  static constexpr int kTurn = Base::kPreparing + kMostMembers;
  static constexpr int kTwoMembers = 2 * kSelectiveThreads;
  __device__ void await_turn(int64_t t) const {
    if (member_ > 0 || t > begin_) gpu::meet_at(kTurn + member_, kTwoMembers);
  }
  __device__ void pass_turn(int64_t t) const {
    const int next = member_ + 1 < members_ ? member_ + 1 : 0;
    if (next > 0 || t + kSteps < end_) gpu::pass_by(kTurn + next, kTwoMembers);
  }

  // The recurrence over a tile, states in registers.
  template <bool kStarts>
  __device__ void march() {
    Slot& slot = shared_.slots[0];
    constexpr int kUnrolled = kStates * kChannels <= 4 ? 16 : 8;
    constexpr int kGroups = (kSteps < kUnrolled ? kSteps : kUnrolled) / kGroup;
#pragma unroll 1
    for (int first = 0; first < kSteps; first += kGroups * kGroup) {
      float y[kGroups][kChannels][kGroup];
#pragma unroll
      for (int j = 0; j < kGroups * kGroup; ++j) {
        step<kStarts>(first + j, y[j / kGroup], j % kGroup);
      }
      if constexpr (kAll) {
#pragma unroll
        for (int j = 0; j < kGroups; ++j) add_outputs(y[j]);
        __syncwarp();  // the outputs take the place of what all lanes have read
#pragma unroll
        for (int j = 0; j < kGroups; ++j) {
          const int t = first + j * kGroup + lane_ / 2 % kAdded / kShare;
#pragma unroll
          for (int i = 0; i < kEnding; ++i) {
            if (kShare > 1 && lane_ / 2 % kShare != 0) continue;
            slot.part(t, place(i), lane_ % 2) = y[j][i][0];
          }
        }
      }
    }
  }

  // Adds up over the even or the odd lanes of a channel.
  __device__ void add_outputs(float (&y)[kChannels][kGroup]) const {
    if constexpr (kChannels == 2 && kLanes > 2) {
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        y[0][k] += __shfl_xor_sync(0xffffffffu, y[1][k], kLanes / 2 * kBeside);
      }
    }
    gpu::add_lanes<kGroup, kAdded * kBeside, 2 * kBeside>(y[0]);
  }

  template <bool kStarts>
  __device__ void step(int t, float (&y)[kChannels][kGroup], int j) {
    const Slot& slot = shared_.slots[0];
    float B[kStates], C[kStates];
    read_states(slot, 0, t, B);
    if (kAll) read_states(slot, 1, t, C);
    const bool start = kStarts && slot.starts[t] != 0;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      const float2 s = slot.steps[t][place(i)];
      if (!kAll) total_[i] = start ? INFINITY : total_[i] + s.x;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const bool anew = kStarts && start;  // what was before must not matter, even infinity
        const float before = anew ? 0.0f : h_[i][n];
        const float factor = anew ? 0.0f : gpu::exp2_fast(s.x * A_[i][n]);
        h_[i][n] = fmaf(factor, before, s.y * B[n]);
        if (kAll) sum = n == 0 ? C[n] * h_[i][n] : fmaf(C[n], h_[i][n], sum);
      }
      y[i][j] = sum;
    }
  }

  const int members_;  // of the block
};

/// Members of this block; the last can have fewer than the others.
template <typename T>
__device__ int members_of_block(const SelectiveScanLaunch<T>& launch, SelectivePass pass) {
  const int64_t most = blockDim.x / kSelectiveThreads;
  const int64_t segments = pass == SelectivePass::kAll ? launch.segments : launch.segments - 1;
  const int64_t all =
      launch.args.in.u.extent(0) * launch.args.in.B.extent(2) * launch.group_tiles * segments;
  return static_cast<int>(min(most, all - blockIdx.x * most));
}

template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
__global__ void __launch_bounds__(
    kSelectiveThreads* Layout<T, kStates, kLanes, kChannels, SelectiveWork::kShared>::kBlocks, 1)
    scan_kernel(const __grid_constant__ SelectiveScanLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  using Scan = Scan<T, kStates, kLanes, kChannels, kPass>;
  const int members = members_of_block(launch, kPass);
  const int member = gpu::part_of_block(kSelectiveThreads);
  if (member >= members) return;
  Scan(launch, reinterpret_cast<typename Scan::Shared*>(bytes)[member], members).run();
}

/// Turns what each segment adds into the state before it.
template <typename T>
__global__ void carry_kernel(const __grid_constant__ SelectiveScanLaunch<T> launch) {
  const SelectiveScanCudaArgs<T>& args = launch.args;
  const int64_t channels = args.h.extent(1), state = args.h.extent(2);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= args.h.extent(0) * state * channels) return;
  const int64_t c = index % channels, n = index / channels % state, b = index / channels / state;
  const float A = args.in.A(c, n) * gpu::kLog2E;
  float h = args.h(b, c, n);
  for (int64_t segment = 0; segment < launch.segments; ++segment) {
    float& end = launch.ends(b, segment, n, c);
    if (segment + 1 == launch.segments) {
      end = h;
      break;
    }
    const float added = end, total = launch.totals(b, segment, c);
    end = h;
    h = isinf(total) ? added : fmaf(gpu::exp2_fast(total * A), h, added);
  }
}

}  // namespace selective_cuda
}  // namespace longwave::ops
