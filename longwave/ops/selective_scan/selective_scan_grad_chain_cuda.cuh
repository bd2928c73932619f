// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "longwave/ops/cuda/marked_pair_cuda.cuh"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_steps_cuda.cuh"

namespace longwave::ops::selective_cuda {

/// The march through a tile where the blocks of a chain take the tiles of their channels in turn,
/// from the last on, and all of them run at once.
///
///   back       from zero, which finds what the tile adds to the adjoint, parked every few steps
///   pass on    the adjoint behind the tile comes, and the one before it goes to the next block
///   both ways  through each few steps, from the first on, forwards and back
///
/// So a block waits for the others' first marches alone, which are done side by side. A thread
/// writes to the one that holds the same states in the next block, and marks each number with the
/// tile, so that no fence is needed. A block has one place for its letters: when it writes the
/// next, a round later, what it writes depends on the former having been read.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradChain : public GradSteps<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradSteps<T, kStates, kLanes, kChannels, kPass>;
  using Base::kSteps, Base::kSub, Base::kSubs;
  using typename Base::Shared, typename Base::Held;

  using Base::Base;

 protected:
  using Base::A_, Base::adjoint_, Base::lane_, Base::launch_, Base::mine_, Base::shared_;
  using Base::channel, Base::holds, Base::place, Base::rows_from;
  using Base::fetch, Base::finish_and_flush, Base::park, Base::total_;

  // From the states before the tile, in h.
  template <bool kStarts>
  __device__ void march_chained(int64_t first, Held& h) {
    march_back<kStarts>(first);
    const int rows = rows_from(first);
#pragma unroll 1
    for (int sub = 0; sub < kSubs; ++sub) {
      const int t = sub * kSub;
      typename Base::Trace trace;
      typename Base::Through through;
      typename Base::Inputs in;
      typename Base::ChannelSums sums;
      this->template go_forward<kStarts>(t, h, trace, in, sums);
      if (sub > 0) fetch_adjoint<kStarts>(sub);
      this->template go_back<kStarts>(t, trace, in, sums, through);
      finish_and_flush(first, t, rows - t, trace.y, through.B, through.A);
    }
  }

 private:
  static constexpr int kPairs = kChannels * kStates / 2;

  // Leaves the adjoint behind the first few steps, and what it takes to find those behind others.
  template <bool kStarts>
  __device__ void march_back(int64_t first) {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      total_[i] = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) adjoint_[i][n] = 0.0f;
    }
#pragma unroll 1
    for (int sub = kSubs - 1; sub > 0; --sub) {
      this->template pass_back<kStarts>(sub * kSub);
      park(sub - 1, adjoint_);
      if (lane_ == 0) {
        *reinterpret_cast<float2*>(&shared_.tails[sub - 1][mine_]) =
            make_float2(total_[0], total_[1]);
      }
    }
    // The letter is asked for ahead of the last few steps.
    Held behind;
    bool there = read_letter(first / kSteps + 1, behind);
    this->template pass_back<kStarts>(0);
    if (first + kSteps >= place().end) {
      read_final(behind);
    } else {
      while (!there) there = read_letter(first / kSteps + 1, behind);
    }
    __syncwarp();  // sums of step sizes are there, too
    Held before;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        before[i][n] = whole<kStarts>(adjoint_[i][n], total_[i], A_[i][n], behind[i][n]);
      }
    }
    first > 0 ? send(first / kSteps, before) : write_first(before);
    correct<kStarts>(0, behind);
    park(0, behind);
  }

  // The adjoint behind all time.
  __device__ void read_final(Held& to) const {
    const View<const float, 3>& dh = launch_.args.dh;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const bool there = !dh.absent() && holds(i, n);
        to[i][n] = there ? dh(place().b, channel(i), lane_ * kStates + n) : 0.0f;
      }
    }
  }
  __device__ void write_first(const Held& from) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (!holds(i, n)) continue;
        launch_.args.dh0(place().b, channel(i), lane_ * kStates + n) = from[i][n];
      }
    }
  }

  // The letters of a block to the next, of this thread.
  __device__ gpu::MarkedPair* letters_of(unsigned block) const {
    return &launch_.letters(block, 0) + threadIdx.x;
  }
  // Whether the adjoint before a tile, which the block behind in the chain works at, is there. Of
  // the blocks of a grid those of a chain are `chains` apart, those of later tiles first.
  __device__ bool read_letter(int64_t tile, Held& to) const {
    const auto chains = static_cast<unsigned>(launch_.chains);
    const gpu::MarkedPair* const from =
        letters_of(blockIdx.x - chains + (blockIdx.x < chains ? gridDim.x : 0));
    const auto mark = static_cast<uint32_t>(tile);
    float* const numbers = &to[0][0];
    bool there = true;
#pragma unroll
    for (int k = 0; k < kPairs; ++k) {
      const gpu::MarkedPair pair = gpu::read_marked(from + k * kSelectiveThreads);
      numbers[2 * k] = pair.first, numbers[2 * k + 1] = pair.second;
      there = there && pair.first_mark == mark && pair.second_mark == mark;
    }
    return there;
  }
  __device__ void send(int64_t tile, const Held& before) const {
    gpu::MarkedPair* const to = letters_of(blockIdx.x);
    const float* const numbers = &before[0][0];
#pragma unroll
    for (int k = 0; k < kPairs; ++k) {
      gpu::write_marked(to + k * kSelectiveThreads, numbers[2 * k], numbers[2 * k + 1],
                        static_cast<uint32_t>(tile));
    }
  }

  // The adjoint before some steps with that sum of step sizes, from what they add and what is
  // behind them.
  template <bool kStarts>
  __device__ static float whole(float added, float total, float A, float behind) {
    if (kStarts && isinf(total)) return added;
    return fmaf(gpu::exp2_fast(total * A), behind, added);
  }

  // The adjoint behind a few steps. That behind the tile has taken the place of what is behind the
  // first ones.
  template <bool kStarts>
  __device__ void fetch_adjoint(int sub) {
    Held behind;
    fetch(0, behind);
    if (sub + 1 < kSubs) {
      correct<kStarts>(sub, behind);
    } else {
#pragma unroll
      for (int i = 0; i < kChannels; ++i) {
#pragma unroll
        for (int n = 0; n < kStates; ++n) adjoint_[i][n] = behind[i][n];
      }
    }
  }
  template <bool kStarts>
  __device__ void correct(int sub, const Held& behind) {
    fetch(sub, adjoint_);
    const float2 tail = *reinterpret_cast<const float2*>(&shared_.tails[sub][mine_]);
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
      adjoint_[0][n] = whole<kStarts>(adjoint_[0][n], tail.x, A_[0][n], behind[0][n]);
      adjoint_[1][n] = whole<kStarts>(adjoint_[1][n], tail.y, A_[1][n], behind[1][n]);
    }
  }
};

}  // namespace longwave::ops::selective_cuda
