// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/bulk_copy_cuda.cuh"
#include "longwave/ops/cuda/swizzled_copy_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Shared memory of a block that marches with the states of a head.
template <typename T, int kStates>
struct WarpgroupGradMarchLayout {
  static constexpr int kTiles = kStates / 64, kStages = 2;
  static constexpr int kTile = kWarpgroupSteps * 64;

  struct Stage {
    T rows[kTiles][kTile];
    T signals[kTile];
  };
  struct alignas(16) Weights {
    float by[kWarpgroupSteps];
    float total;
  };

  Stage stages[kStages];
  T image[kTiles][kTile];
  Weights weights[kStages];
};

/// Marches through all chunks with the states of a head in the registers of a warpgroup, and leaves
/// the state before each chunk; or backwards with adjoints, and leaves those behind each chunk and
/// dh0. Both ways are in one grid.
template <typename T, int kStates>
class WarpgroupGradMarch {
 public:
  using Shared = WarpgroupGradMarchLayout<T, kStates>;

  __device__ WarpgroupGradMarch(const SsdWarpgroupGradLaunch<T>& launch, Shared& shared)
      : args_(launch.common.args),
        launch_(launch),
        shared_(shared),
        forwards_(blockIdx.x % 2 == 0),
        chunks_(launch.common.chunks) {
    const int64_t index = blockIdx.x / 2, heads = launch.steps.extent(2);
    head_ = index % heads;
    b_ = index / heads;
    group_ = head_ / launch.common.share;
    warp_ = threadIdx.x / 32;
  }

  __device__ void run() {
#pragma unroll
    for (int i = 0; i + 1 < kStages; ++i) {
      if (i < chunks_) load(i);
      gpu::close_copies();
    }
    load_state();
    for (int64_t i = 0; i < chunks_; ++i) {
      gpu::await_copies<kStages - 2>();
      gpu::show_to_async_proxy();
      if (threadIdx.x == 0) gpu::await_bulk_reads();
      __syncthreads();
      if (i + kStages - 1 < chunks_) load(i + kStages - 1);
      gpu::close_copies();
      store_state(i);
      advance(static_cast<int>(i % kStages));
    }
    if (!forwards_) store_last();
    if (threadIdx.x == 0) gpu::await_bulk_stores();
  }

 private:
  static constexpr int kStages = Shared::kStages, kTiles = Shared::kTiles;
  __device__ int64_t chunk(int64_t i) const { return forwards_ ? i : chunks_ - 1 - i; }
  __device__ int row() const { return warp_ * 16 + gpu::lane_row(); }

  __device__ void load(int64_t i) const {
    typename Shared::Stage& to = shared_.stages[i % kStages];
    const int64_t c = chunk(i), t = c * kWarpgroupSteps;
    const View<const T, 4>& rows = forwards_ ? args_.in.B : args_.in.C;
    const View<const T, 4>& signals = forwards_ ? args_.in.x : args_.dy;
    const int64_t left = rows.extent(1) - t;
    const int count = left < kWarpgroupSteps ? static_cast<int>(left) : kWarpgroupSteps;
    const T* from =
        rows.data() + b_ * rows.stride(0) + t * rows.stride(1) + group_ * rows.stride(2);
    gpu::load_swizzled<gpu::kWarpgroup, kTiles>(threadIdx.x, from, rows.stride(1), count,
                                                static_cast<int>(rows.extent(3)), to.rows[0]);
    from =
        signals.data() + b_ * signals.stride(0) + t * signals.stride(1) + head_ * signals.stride(2);
    gpu::load_swizzled<gpu::kWarpgroup, 1>(threadIdx.x, from, signals.stride(1), count,
                                           static_cast<int>(signals.extent(3)), to.signals);
    const ChunkDecays<kWarpgroupSteps>& by = launch_.steps(b_, c, head_).decays;
    typename Shared::Weights& weights = shared_.weights[i % kStages];
    const int piece = threadIdx.x;
    if (piece < kWarpgroupSteps / 4) {
      gpu::copy_16_bytes(weights.by + piece * 4, (forwards_ ? by.out : by.in) + piece * 4);
    } else if (piece == kWarpgroupSteps / 4) {
      gpu::copy_4_bytes(&weights.total, &by.total);
    }
  }

  // Calls visit(p, n, number) for the lane's numbers of the state that are there.
  template <typename Visit>
  __device__ void each_number(Visit&& visit) {
    const int head_dim = static_cast<int>(args_.in.x.extent(3));
    const int state = static_cast<int>(args_.in.B.extent(3));
#pragma unroll
    for (int tile = 0; tile < kStates / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int p = row() + i / 2 * 8, n = tile * 8 + gpu::lane_column() + i % 2;
        if (p < head_dim && n < state) visit(p, n, state_[tile / 8][tile % 8][i]);
      }
    }
  }

  __device__ void load_state() {
    const View<const float, 4>& from = forwards_ ? args_.h0 : args_.dh;
#pragma unroll
    for (int tile = 0; tile < kStates / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) state_[tile / 8][tile % 8][i] = 0.0f;
    }
    if (from.absent()) return;
    each_number([&](int p, int n, float& number) { number = from(b_, head_, p, n); });
  }

  __device__ void store_last() {
    each_number([&](int p, int n, float& number) { args_.dh0(b_, head_, p, n) = number; });
  }

  __device__ void store_state(int64_t i) {
    auto* const image = reinterpret_cast<unsigned char*>(shared_.image);
#pragma unroll
    for (int part = 0; part < kTiles; ++part) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::store_matrices(
            gpu::left_factor_of<T>(state_[part][2 * k], state_[part][2 * k + 1]),
            image + part * gpu::kTileBytes + gpu::left_factor_place(warp_ * 16, 2 * k));
      }
    }
    gpu::show_to_async_proxy();
    __syncthreads();
    if (threadIdx.x != 0) return;
    const View<T, 5>& to = forwards_ ? launch_.common.h : launch_.common.g;
    gpu::begin_bulk_store(
        to.data() + b_ * to.stride(0) + chunk(i) * to.stride(1) + head_ * to.stride(2), image,
        kTiles * gpu::kTileBytes);
  }

  // state = what is left of it + (by signals)^T rows.
  __device__ void advance(int stage) {
    const typename Shared::Stage& tiles = shared_.stages[stage];
    const typename Shared::Weights& weights = shared_.weights[stage];
    gpu::LeftFactor<T> left[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      left[k] = gpu::load_transposed_factor<T>(tiles.signals, 16 * k, 2 * warp_);
      gpu::scale_columns(weights.by + 16 * k, left[k]);
    }
    // What is forgotten may be no number.
    const float total = weights.total;
#pragma unroll
    for (int tile = 0; tile < kStates / 8; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& number = state_[tile / 8][tile % 8][i];
        number = total == 0.0f ? 0.0f : total * number;
      }
    }
    gpu::begin_products();
#pragma unroll
    for (int part = 0; part < kTiles; ++part) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<gpu::TileOrder::kAcrossSum>(
            left[k], gpu::shared_factor<gpu::TileOrder::kAcrossSum>(tiles.rows[part], k),
            gpu::Sum::kMore, state_[part]);
      }
    }
    gpu::close_products();
    gpu::await_products(state_);
  }

  const SsdCudaGradArgs<T>& args_;
  const SsdWarpgroupGradLaunch<T>& launch_;
  Shared& shared_;
  const bool forwards_;
  int64_t chunks_, head_, b_, group_;
  int warp_;
  float state_[kTiles][8][4];
};

template <typename T, int kStates>
__global__ void __launch_bounds__(gpu::kWarpgroup, 3)
    warpgroup_grad_march_kernel(const __grid_constant__ SsdWarpgroupGradLaunch<T> launch) {
  extern __shared__ __align__(1024) unsigned char bytes[];
  using Shared = WarpgroupGradMarchLayout<T, kStates>;
  WarpgroupGradMarch<T, kStates>(launch, *reinterpret_cast<Shared*>(bytes)).run();
}

}  // namespace longwave::ops::ssd_cuda_kernels
