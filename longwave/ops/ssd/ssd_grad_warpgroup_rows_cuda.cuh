// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_grad_steps_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_block_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// The two warpgroups that add the gradients of B and C up over the heads of a block: to dC what
/// the state before the chunk gives, to dB what the adjoint behind it gives, and to both what pairs
/// of steps give, of all heads at once. They run one code, so that they share its instructions.
template <typename T, int kStates>
class WarpgroupGradRows {
 public:
  __device__ explicit WarpgroupGradRows(const WarpgroupGradBlock<T, kStates>& block)
      : block_(block),
        thread_(threadIdx.x % (2 * gpu::kWarpgroup)),
        reads_(thread_ < gpu::kWarpgroup) {}

  __device__ void run() {
    block_.load(thread_, 0);
    for (int i = 0; i < block_.heads; ++i) {
      block_.begin(i);
      if (i + 1 < block_.heads) block_.load(thread_, i + 1);
      add_state(i);
      multiply_states(i);
      leave(i - 2);
    }
    block_.begin(block_.heads);
    leave(block_.heads - 2);
    block_.meet();
    leave(block_.heads - 1);
    add_pairs();
    store();
  }

 private:
  static constexpr int kTiles = WarpgroupGradBlock<T, kStates>::kTiles;
  static constexpr int kTile = WarpgroupGradBlock<T, kStates>::kTile;
  static constexpr gpu::TileOrder kAlong = gpu::TileOrder::kAlongSum;
  static constexpr gpu::TileOrder kAcross = gpu::TileOrder::kAcrossSum;

  // Adds signals times a state, each step by its decay; and what each step has of it.
  __device__ void add_state(int i) {
    const auto& tiles = block_.stage(i);
    const T* const signals = reads_ ? tiles.dy : tiles.x;
    const T* const state = reads_ ? tiles.h[0] : tiles.g[0];
    const T* const rows = reads_ ? block_.shared.C[0] : block_.shared.B[0];
    const ChunkDecays<kWarpgroupSteps>& decays = block_.steps(i).decays;
    const float* const weights = reads_ ? decays.in : decays.out;
    const float by[2] = {weights[block_.row(0)], weights[block_.row(1)]};
    float had[2] = {0.0f, 0.0f};
#pragma unroll
    for (int part = 0; part < kTiles; ++part) {
      float whole[8][4];
      gpu::begin_products();
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<kAcross>(T(), gpu::shared_factor<kAlong>(signals, k),
                               gpu::shared_factor<kAcross>(state + part * kTile, k),
                               k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, whole);
      }
      gpu::close_products();
      gpu::await_products<0>(whole);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float2 row = block_.pair(rows + part * kTile, half, j);
          const float x = whole[j][2 * half], y = whole[j][2 * half + 1];
          float* const to = sums_[part][j] + 2 * half;
          had[half] = fmaf(row.x, x, fmaf(row.y, y, had[half]));
          // What is forgotten may be no number.
          if (by[half] != 0.0f) {
            to[0] = fmaf(by[half], x, to[0]);
            to[1] = fmaf(by[half], y, to[1]);
          }
        }
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      had[half] = by[half] == 0.0f ? 0.0f : by[half] * had[half];
    }
    WarpgroupGradSums& sums = block_.sums(i);
    block_.put_rows(had, reads_ ? sums.reads : sums.behind);
  }

  // G times what is left of h behind the chunk.
  __device__ void multiply_states(int i) const {
    const float total = block_.steps(i).decays.total;
    float sum = 0.0f;
    if (total != 0.0f) {
      const auto& tiles = block_.stage(i);
#pragma unroll 2
      for (int turn = 0; turn < kTiles * kTile / 8 / block_.kLoaders; ++turn) {
        const int k = turn * block_.kLoaders + thread_;
        const uint4 h = *reinterpret_cast<const uint4*>(tiles.h[0] + k * 8);
        const uint4 g = *reinterpret_cast<const uint4*>(tiles.g[0] + k * 8);
        sum += product(h.x, g.x) + product(h.y, g.y) + product(h.z, g.z) + product(h.w, g.w);
      }
    }
    sum = gpu::add_over_warp(sum);
    if (threadIdx.x % 32 == 0) block_.sums(i).states[thread_ / 32] = total * sum;
  }

  __device__ static float product(uint32_t a, uint32_t b) {
    const float2 x = gpu::numbers_of(gpu::FactorPair<T>{a});
    const float2 y = gpu::numbers_of(gpu::FactorPair<T>{b});
    return x.x * y.x + x.y * y.y;
  }

  // Leaves the sums of head i, all of which are there.
  __device__ void leave(int i) const {
    if (thread_ >= kWarpgroupSteps || i < 0) return;
    const WarpgroupGradSums& from = block_.sums(i);
    SumsOfChunk& to = block_.all.sums(block_.b, block_.chunk, block_.first_head + i);
    to.less[thread_] = added(from.rows, thread_) + from.reads[thread_] - from.columns[thread_];
    to.behind[thread_] = from.behind[thread_];
    to.signals[0][thread_] = from.signals[thread_];
    if (!block_.launch.args.in.D.absent()) to.skips[0][thread_] = added(from.skips, thread_);
    if (thread_ < 8) to.states[thread_] = from.states[thread_];
  }

  // The sums of pairs of steps over heads: rows give, columns take.
  __device__ void add_pairs() {
    const auto* const pairs =
        reinterpret_cast<const unsigned char*>(block_.shared.weights[block_.heads % 2]);
    const T* const rows = reads_ ? block_.shared.B[0] : block_.shared.C[0];
    gpu::LeftFactor<T> left[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      // Not as load_transposed_factor: what differs between the warpgroups stays short.
      uint32_t bits[4];
      if (reads_) {
        gpu::load_transposed_matrices(
            pairs + gpu::transposed_factor_place(16 * k, 2 * block_.warp()), bits);
      } else {
        gpu::load_matrices(pairs + gpu::left_factor_place(block_.down, 2 * k), bits);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) left[k].pairs[i].bits = bits[i];
    }
    gpu::begin_products();
#pragma unroll
    for (int part = 0; part < kTiles; ++part) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<kAcross>(left[k], gpu::shared_factor<kAcross>(rows + part * kTile, k),
                               gpu::Sum::kMore, sums_[part]);
      }
    }
    gpu::close_products();
    gpu::await_products(sums_);
  }

  __device__ void store() const {
    const SsdGradLaunch<T>& launch = block_.launch;
    const View<T, 4>& whole = reads_ ? launch.args.dC : launch.args.dB;
    const int which = reads_ ? 1 : 0;
    const int state = static_cast<int>(whole.extent(3));
#pragma unroll
    for (int tile = 0; tile < kStates / 8; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t t = block_.t + block_.row(half);
        const int n = tile * 8 + gpu::lane_column();
        if (block_.row(half) >= block_.count || n >= state) continue;
        const float* const two = sums_[tile / 8][tile % 8] + 2 * half;
        const float2 pair = make_float2(two[0], two[1]);
        if (launch.splits > 1) {
          *reinterpret_cast<float2*>(
              &launch.inputs(block_.split, block_.b, t, block_.group, which, n)) = pair;
        } else {
          *reinterpret_cast<gpu::FactorPair<T>*>(&whole(block_.b, t, block_.group, n)) =
              gpu::factor_pair(T(), pair);
        }
      }
    }
  }

  const WarpgroupGradBlock<T, kStates>& block_;
  const int thread_;  // of both warpgroups
  const bool reads_;  // whether it is that of dC
  float sums_[kTiles][8][4] = {};
};

}  // namespace longwave::ops::ssd_cuda_kernels
