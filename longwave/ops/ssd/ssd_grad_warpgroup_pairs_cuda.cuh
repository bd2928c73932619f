// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_grad_warpgroup_block_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// The warpgroup that sees to pairs of steps, of which the rows are those that give and the columns
/// those that take: the weights by which they do, and what pairs add to dB and dC.
template <typename T, int kStates>
class WarpgroupGradPairs {
 public:
  __device__ explicit WarpgroupGradPairs(const WarpgroupGradBlock<T, kStates>& block)
      : block_(block) {}

  __device__ void run() {
    for (int i = 0; i < block_.heads; ++i) {
      block_.begin(i);
      if (i == 0) multiply_rows();
      float xdy[8][4];
      multiply_signals(i, xdy);
      weigh(i, xdy);
    }
    block_.begin(block_.heads);
#pragma unroll
    for (int k = 0; k < 4; ++k) store(block_.heads, k, pairs_[2 * k], pairs_[2 * k + 1]);
    block_.meet();
  }

 private:
  static constexpr gpu::TileOrder kAlong = gpu::TileOrder::kAlongSum;

  // B C^T.
  __device__ void multiply_rows() {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < 4 * block_.kTiles; ++k) {
      gpu::multiply<kAlong>(T(), gpu::shared_factor<kAlong>(block_.shared.B[k / 4], k % 4),
                            gpu::shared_factor<kAlong>(block_.shared.C[k / 4], k % 4),
                            k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, products_);
    }
    gpu::close_products();
    gpu::await_products<0>(products_);
  }

  // x dy^T.
  __device__ void multiply_signals(int i, float (&xdy)[8][4]) const {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      gpu::multiply<kAlong>(T(), gpu::shared_factor<kAlong>(block_.stage(i).x, k),
                            gpu::shared_factor<kAlong>(block_.stage(i).dy, k),
                            k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, xdy);
    }
    gpu::close_products();
    gpu::await_products<0>(xdy);
  }

  // A warp's rows of 16 columns, in the tile of turn i.
  __device__ void store(int i, int k, const float (&low)[4], const float (&high)[4]) const {
    gpu::store_matrices(gpu::left_factor_of<T>(low, high),
                        reinterpret_cast<unsigned char*>(block_.shared.weights[i % 2]) +
                            gpu::left_factor_place(block_.down, 2 * k));
  }

  __device__ void weigh(int i, const float (&xdy)[8][4]) {
    const ChunkDecays<kWarpgroupSteps>& by = block_.steps(i).decays;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      from_[half] = by.sums[block_.row(half)];
      sizes_[half] = by.sizes[block_.row(half)];
      given_[half] = 0.0f;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float taken[8] = {};
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const int columns = half * 2 + k;
        if (columns < block_.warp()) continue;
        float weights[2][4];
        weigh_tiles(columns, by, xdy, weights, taken + 4 * k);
        store(i, columns, weights[0], weights[1]);
      }
      block_.put_columns(taken, block_.sums(i).rows[block_.warp()] + half * 32);
    }
    given_[0] *= sizes_[0];
    given_[1] *= sizes_[1];
    block_.put_rows(given_, block_.sums(i).columns);
  }

  // Of 16 steps that give and 16 that take. What a step gives itself is in both of its sums, whose
  // difference alone counts.
  __device__ void weigh_tiles(int columns, const ChunkDecays<kWarpgroupSteps>& by,
                              const float (&xdy)[8][4], float (&weights)[2][4], float* taken) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const int j = columns * 2 + k, t = j * 8 + gpu::lane_column();
      const float2 until = *reinterpret_cast<const float2*>(&by.sums[t]);
      const int2 first = *reinterpret_cast<const int2*>(&by.first[t]);
#pragma unroll
      for (int place = 0; place < 4; ++place) {
        const int half = place / 2, e = place % 2, s = block_.row(half);
        float decay = gpu::exp2_fast((e == 0 ? until.x : until.y) - from_[half]);
        // Negative distances are large ones.
        const int most = t + e - max(e == 0 ? first.x : first.y, 0);
        if (static_cast<unsigned>(t + e - s) > static_cast<unsigned>(most)) decay = 0.0f;
        const float part = decay * xdy[j][place], both = part * products_[j][place];
        weights[k][place] = decay * products_[j][place];
        pairs_[j][place] = fmaf(sizes_[half], part, pairs_[j][place]);
        given_[half] += both;
        taken[2 * k + e] = fmaf(sizes_[half], both, taken[2 * k + e]);
      }
    }
  }

  const WarpgroupGradBlock<T, kStates>& block_;
  float products_[8][4], pairs_[8][4] = {};
  float from_[2], sizes_[2], given_[2];  // of the lane's rows
};

}  // namespace longwave::ops::ssd_cuda_kernels
