// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_warpgroup_tiles_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// The first of the 64 rows of a tile that a lane of a warpgroup holds; the other is 8 further on.
__device__ inline int warpgroup_row() {
  return static_cast<int>(threadIdx.x) / 32 * 16 + gpu::lane_row();
}

/// Weights beyond the diagonal stay zero.
__device__ inline void clear_weights(unsigned char* weights) {
  for (int i = static_cast<int>(threadIdx.x) * 16; i < gpu::kTileBytes; i += gpu::kWarpgroup * 16) {
    *reinterpret_cast<uint4*>(weights + i) = make_uint4(0, 0, 0, 0);
  }
}

/// Keeps those weights of steps 16 `from` on that are wanted, where keep(t, s) says so.
template <typename Keep>
__device__ void keep_weights(int from, float (&two)[2][4], Keep&& keep) {
#pragma unroll
  for (int j = 0; j < 2; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int s = from * 16 + j * 8 + gpu::lane_column() + i % 2;
      if (!keep(warpgroup_row() + i / 2 * 8, s)) two[j][i] = 0.0f;
    }
  }
}

/// Writes the warp's rows of the weights of a chunk, 16 steps at a time up to the diagonal:
/// products C B^T with decays and step sizes.
template <typename T>
__device__ void weigh(const WarpgroupDecays& by, const float (&products)[8][4],
                      unsigned char* weights) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const float until[2] = {by.sums[warpgroup_row()], by.sums[warpgroup_row() + 8]};
#pragma unroll
  for (int from = 0; from < 4; ++from) {
    if (from > warp) break;
    float two[2][4];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float2 since =
          *reinterpret_cast<const float2*>(&by.from[from * 16 + j * 8 + gpu::lane_column()]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        two[j][i] = products[from * 2 + j][i] *
                    gpu::exp2_fast(until[i / 2] - (i % 2 == 0 ? since.x : since.y));
      }
    }
    if (from == warp) keep_weights(from, two, [](int t, int s) { return s <= t; });
    if (by.last_start >= 0) {
      keep_weights(from, two, [&](int t, int s) { return s >= by.first[t]; });
    }
    gpu::store_matrices(gpu::left_factor_of<T>(two[0], two[1]),
                        weights + gpu::left_factor_place(warp * 16, from * 2));
  }
  gpu::show_to_async_proxy();
}

}  // namespace longwave::ops::ssd_cuda_kernels
