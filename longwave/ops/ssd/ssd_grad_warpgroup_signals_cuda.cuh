// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_grad_warpgroup_block_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// The warpgroup that finds dx, a turn behind the weights of pairs of steps.
template <typename T, int kStates>
class WarpgroupGradSignals {
 public:
  __device__ explicit WarpgroupGradSignals(const WarpgroupGradBlock<T, kStates>& block)
      : block_(block) {}

  __device__ void run() const {
    block_.begin(0);
    for (int i = 0; i < block_.heads; ++i) {
      block_.begin(i + 1);
      float dx[8][4];
      multiply_states(i, dx);
      decay(i, dx);
      add_pairs(i, dx);
      finish(i, dx);
      store(i, dx);
    }
    block_.meet();
  }

 private:
  static constexpr gpu::TileOrder kAlong = gpu::TileOrder::kAlongSum;
  static constexpr gpu::TileOrder kAcross = gpu::TileOrder::kAcrossSum;

  // B G^T.
  __device__ void multiply_states(int i, float (&dx)[8][4]) const {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < 4 * block_.kTiles; ++k) {
      gpu::multiply<kAlong>(T(), gpu::shared_factor<kAlong>(block_.shared.B[k / 4], k % 4),
                            gpu::shared_factor<kAlong>(block_.stage(i).g[k / 4], k % 4),
                            k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, dx);
    }
    gpu::close_products();
    gpu::await_products<0>(dx);
  }

  // What G gives.
  __device__ void decay(int i, float (&dx)[8][4]) const {
    const ChunkDecays<kWarpgroupSteps>& by = block_.steps(i).decays;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float decay = by.between(block_.row(half), kWarpgroupSteps - 1);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        float* const two = dx[j] + 2 * half;
        // What is forgotten may be no number.
        two[0] = decay == 0.0f ? 0.0f : decay * two[0];
        two[1] = decay == 0.0f ? 0.0f : decay * two[1];
      }
    }
  }

  // What steps that take give back.
  __device__ void add_pairs(int i, float (&dx)[8][4]) const {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      gpu::multiply<kAcross>(T(), gpu::shared_factor<kAlong>(block_.shared.weights[i % 2], k),
                             gpu::shared_factor<kAcross>(block_.stage(i).dy, k), gpu::Sum::kMore,
                             dx);
    }
    gpu::close_products();
    gpu::await_products<0>(dx);
  }

  // The sums over rows and columns, and the skip.
  __device__ void finish(int i, float (&dx)[8][4]) const {
    const float* const sizes = block_.steps(i).decays.sizes;
    const float by[2] = {sizes[block_.row(0)], sizes[block_.row(1)]};
    const bool skipped = !block_.launch.args.in.D.absent();
    float signals[2] = {0.0f, 0.0f};
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      float taken[8] = {};
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int j = part * 4 + k;
        const float2 skip =
            *reinterpret_cast<const float2*>(block_.skips(i) + j * 8 + gpu::lane_column());
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float2 x = block_.pair(block_.stage(i).x, half, j);
          const float2 dy = block_.pair(block_.stage(i).dy, half, j);
          float* const two = dx[j] + 2 * half;
          signals[half] += x.x * two[0] + x.y * two[1];
          taken[2 * k] += dy.x * x.x;
          taken[2 * k + 1] += dy.y * x.y;
          two[0] = fmaf(by[half], two[0], skip.x * dy.x);
          two[1] = fmaf(by[half], two[1], skip.y * dy.y);
        }
      }
      if (skipped) block_.put_columns(taken, block_.sums(i).skips[block_.warp()] + part * 32);
    }
    block_.put_rows(signals, block_.sums(i).signals);
  }

  // A warp's rows leave through shared memory, 16 bytes at a time.
  __device__ void store(int i, const float (&dx)[8][4]) const {
    auto* const results = reinterpret_cast<unsigned char*>(block_.shared.results);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      gpu::store_matrices(gpu::left_factor_of<T>(dx[2 * k], dx[2 * k + 1]),
                          results + gpu::left_factor_place(block_.down, 2 * k));
    }
    __syncwarp();
    const View<T, 4>& to = block_.launch.args.dx;
    T* const first = to.data() + block_.b * to.stride(0) + block_.t * to.stride(1) +
                     (block_.first_head + i) * to.stride(2);
    const int piece = threadIdx.x % 8;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int s = block_.down + k * 4 + threadIdx.x % 32 / 8;
      if (s >= block_.count || piece * 8 >= block_.width) continue;
      *reinterpret_cast<uint4*>(first + s * to.stride(1) + piece * 8) =
          *reinterpret_cast<const uint4*>(results + gpu::place_in_tile(s, piece));
    }
    __syncwarp();
  }

  const WarpgroupGradBlock<T, kStates>& block_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
