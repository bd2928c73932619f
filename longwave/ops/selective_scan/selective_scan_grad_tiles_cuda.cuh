// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/ops/cuda/marked_pair_cuda.cuh"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_tiles_cuda.cuh"

namespace longwave::ops {

/// What the kernels of a gradient read and write; sums are over the channels of a block, or over
/// the steps of a segment.
template <typename T>
struct SelectiveGradLaunch {
  SelectiveScanCudaGradArgs<T> args;
  View<float, 6> inputs;     // (tiles, batch, time, groups, 2, states in fours) sums for dB and dC
  View<float, 3> A;          // (batch segments, state, channels) sums for dA
  View<float, 3> signals;    // (batch segments, 2, channels) sums for dD and ddt_bias
  View<float, 4> ends;       // (batch, segments, state, channels) the adjoint at a segment
  View<float, 3> totals;     // (batch, segments, channels) sum of step sizes; infinity: starts anew
  uint32_t* turn;            // how many blocks have begun; or null, where segments have a pass
  View<uint32_t, 3> handed;  // (batch, segments, tiles) 1: the adjoint behind the segment is there
  View<gpu::MarkedPair, 2> letters;  // (blocks, pairs of numbers and threads) in a chain
  int64_t chains;                    // of which there are so many side by side
  int64_t segments, segment_steps;
  int64_t group_channels, group_tiles;  // channels, and blocks side by side, of a group
  bool wide_u, wide_dt, wide_z, wide_dy, wide_B, wide_C, wide_states;  // rows of 16-byte pieces
  bool paired;  // whether du, ddt and dz go in pairs of channels, with rows less than 2 GB apart
};

namespace selective_cuda {

/// Where a block that computes gradients is.
struct GradPlace {
  int64_t b, segment, group;
  int64_t tile, part;         // which of all blocks side by side; and of those of the group
  int64_t first, begin, end;  // channel, step, step behind the last
};

/// Shared memory of a block that computes gradients.
template <typename T, int kStates, int kLanes, int kChannels>
struct GradLayout {
  static constexpr int kPadded = kStates * kLanes;
  static constexpr int kWidth = kSelectiveThreads / kLanes * kChannels;
  static constexpr int kWarps = kSelectiveThreads / 32;
  static constexpr int kWarpWidth = kWidth / kWarps;
  static constexpr int kSteps = kPadded <= 16 ? 32 : 64;  // as selective_scan_chunk
  static constexpr int kSub = 4;                          // steps whose states are in registers
  static constexpr int kSubs = kSteps / kSub;
  static constexpr int kBlocks = sizeof(T) == 2 && kPadded <= 16 ? 3 : 2;  // of a multiprocessor
  static constexpr int kHeld = kStates * kChannels / 4;  // states of a thread, in fours
  // A warp's sums over its channels for dB and dC. If they fit where dy silu(z) and s u of its
  // channels were, they wait there for the end of the tile.
  static constexpr bool kWaits = kPadded <= kWarpWidth;
  static constexpr int kSums = kSub * 2 * kPadded;
  // From a step of a warp's numbers that are to be summed to the next, in different banks.
  static constexpr int kStaged = 32 * kStates + 16;

  T signals[3][kSteps][kWidth];  // u, z, dy
  union {
    T dt[kSteps][kWidth];                          // until the step sizes are there
    float staged[kWarps][kStaged + 32 * kStates];  // two steps
  };
  union {
    T raw_inputs[2][kSteps][kPadded];  // B, C, until they are in float32; then
    float tails[kSubs - 1][kWidth];    // sums of the step sizes behind each few steps
  };
  float inputs[2][kSteps][kPadded];
  float planes[3][kSteps][kWidth];  // s, dy silu(z), s u
  union {
    float kept[kPadded][kWidth];  // the states before the tile, zeros where there are none; then
    float4 before[kSubs - 1][kHeld][kSelectiveThreads];  // those before each few steps but the last
  };
  float bias[kWidth], skip[kWidth];
  float sums[kWaits ? 1 : 2][kWaits ? 1 : kWarps][kWaits ? 4 : kSums];
  uint8_t starts[kSteps];
  // What threads would have to keep in registers.
  GradPlace place;
  struct alignas(16) {
    const T* from;   // at the sequence's first step; or null, there is nothing to bring
    int64_t stride;  // of steps
  } operands[6];     // u, z, dy, dt, B, C
  struct alignas(16) Result {
    std::byte* to;   // at the tile's first step
    int64_t stride;  // of steps, in bytes
  } results[3];      // du, ddt, dz
};

/// Where a block is in channels and time, and what it makes of a tile of operands before it marches
/// through it.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradTiles {
 public:
  using Shared = GradLayout<T, kStates, kLanes, kChannels>;
  static constexpr int kSteps = Shared::kSteps, kWidth = Shared::kWidth, kSub = Shared::kSub;
  static constexpr int kPadded = Shared::kPadded, kSubs = Shared::kSubs;
  static constexpr bool kAll = kPass != SelectivePass::kEnds;
  static constexpr bool kChain = kPass == SelectivePass::kChain;
  static_assert(kStates % 4 == 0 && kChannels == 2);

  __device__ GradTiles(const SelectiveGradLaunch<T>& launch, Shared& shared)
      : launch_(launch), shared_(shared) {
    if (threadIdx.x == 0) shared.place = find_place();
    __syncthreads();
    width_ = static_cast<int>(min(static_cast<int64_t>(kWidth),
                                  (place().group + 1) * launch.group_channels - place().first));
    // The lowest bit tells channels apart, the next ones states: whatever a warp reads, neighbours
    // at one of these read the same, and 16 bytes each then take two turns of the memory, not four.
    lane_ = threadIdx.x / 2 % kLanes;
    mine_ = (threadIdx.x / (2 * kLanes) * 2 + threadIdx.x % 2) * kChannels;
  }

 protected:
  __device__ const GradPlace& place() const { return shared_.place; }
  __device__ int64_t channel(int i) const { return place().first + mine_ + i; }
  __device__ bool holds(int i, int n) const {
    return mine_ + i < width_ &&
           lane_ * kStates + n < static_cast<int>(launch_.args.in.A.extent(1));
  }
  __device__ int rows_from(int64_t t) const {
    return static_cast<int>(min(static_cast<int64_t>(kSteps), place().end - t));
  }
  // From a tile to the next.
  __device__ int64_t stride() const { return kChain ? launch_.segments * kSteps : kSteps; }
  __device__ int64_t row() const { return place().b * launch_.segments + place().segment; }

  // Fills planes and inputs; zeros beyond the end, which change nothing. Returns whether a sequence
  // starts in the tile.
  __device__ bool prepare(int64_t t) {
    const auto& in = launch_.args.in;
    const int rows = rows_from(t), state = static_cast<int>(in.A.extent(1));
    if (rows == kSteps && width_ == kWidth) {
      prepare_steps<true>(rows);
    } else {
      prepare_steps<false>(rows);
    }
#pragma unroll
    for (int which = kAll ? 0 : 1; which < 2; ++which) {
      gpu::widen_rows<kSelectiveThreads, kSteps>(shared_.raw_inputs[which], rows, state,
                                                 shared_.inputs[which], threadIdx.x);
    }
    return mark_starts(in.starts, place().b, t, rows, shared_.starts);
  }

  // A thread sees to two channels, and to every kRowsAtOnce-th step. kWhole: no step and no channel
  // of the tile is beyond the end.
  template <bool kWhole>
  __device__ void prepare_steps(int rows) {
    constexpr int kRowsAtOnce = kSelectiveThreads / (kWidth / 2), kBatch = 4;
    static_assert(kSteps % (kBatch * kRowsAtOnce) == 0);
    const auto& in = launch_.args.in;
    const bool soft = in.step_size == StepSize::kSoftplus, gated = !in.z.absent();
    const int c = threadIdx.x % (kWidth / 2) * 2;
    const float2 bias = *reinterpret_cast<const float2*>(&shared_.bias[c]);
#pragma unroll 1
    for (int first = threadIdx.x / (kWidth / 2); first < kSteps; first += kBatch * kRowsAtOnce) {
      float2 s[kBatch], dyg[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        s[i] = gpu::pair_of(&shared_.dt[first + i * kRowsAtOnce][c]);
        dyg[i] = gpu::pair_of(&shared_.signals[2][first + i * kRowsAtOnce][c]);
        s[i].x += bias.x, s[i].y += bias.y;
      }
      if (gated) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          const float2 z = gpu::pair_of(&shared_.signals[1][first + i * kRowsAtOnce][c]);
          dyg[i].x *= gpu::silu(z.x), dyg[i].y *= gpu::silu(z.y);
        }
      }
      if (soft) gpu::softplus(s);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = first + i * kRowsAtOnce;
        float2 su = make_float2(0.0f, 0.0f);
        if (kAll) {
          const float2 u = gpu::pair_of(&shared_.signals[0][row][c]);
          su = make_float2(s[i].x * u.x, s[i].y * u.y);
        }
        if constexpr (!kWhole) {
          const bool here = row < rows && c < width_, next = row < rows && c + 1 < width_;
          s[i] = make_float2(here ? s[i].x : 0.0f, next ? s[i].y : 0.0f);
          dyg[i] = make_float2(here ? dyg[i].x : 0.0f, next ? dyg[i].y : 0.0f);
          su = make_float2(here ? su.x : 0.0f, next ? su.y : 0.0f);
        }
        put(0, row, c, s[i]);
        put(1, row, c, dyg[i]);
        if (kAll) put(2, row, c, su);
      }
    }
  }

  __device__ void put(int plane, int i, int c, float2 two) const {
    *reinterpret_cast<float2*>(&shared_.planes[plane][i][c]) = two;
  }

  const SelectiveGradLaunch<T>& launch_;
  Shared& shared_;
  int width_, lane_, mine_;  // channels of the block; lane in the channel; first channel held

 private:
  // Segments are begun from the last on, so that who waits for another came after it.
  __device__ GradPlace find_place() const {
    const int64_t tiles = launch_.args.in.B.extent(2) * launch_.group_tiles;
    const int64_t batch = launch_.args.in.u.extent(0);
    const int64_t turn = launch_.turn == nullptr ? blockIdx.x : atomicAdd(launch_.turn, 1u);
    const int64_t tile = turn % tiles, group = tile / launch_.group_tiles, row = turn / tiles;
    // kEnds leaves the first, nothing is before it.
    const int64_t segment = launch_.segments - 1 - row / batch;
    const int64_t part = tile % launch_.group_tiles;
    const int64_t begin = segment * (kChain ? kSteps : launch_.segment_steps);
    const int64_t time = launch_.args.in.u.extent(1);
    return {.b = row % batch,
            .segment = segment,
            .group = group,
            .tile = tile,
            .part = part,
            .first = group * launch_.group_channels + part * kWidth,
            .begin = begin,
            .end = kChain ? time : min(begin + launch_.segment_steps, time)};
  }
};

}  // namespace selective_cuda
}  // namespace longwave::ops
