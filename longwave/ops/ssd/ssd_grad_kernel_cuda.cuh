// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/fragments_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_chunk_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Finds the gradients of one chunk, head after head, kColumns of head_dim at once.
template <typename T, int kStates, int kColumns>
class ChunkGradient {
 public:
  using Shared = GradLayout<T, kStates, kColumns>;

  __device__ ChunkGradient(const SsdGradLaunch<T>& launch, Shared& shared)
      : launch_(launch), shared_(shared), chunk_(launch, shared) {
    const int warp = threadIdx.x / 32;
    down_ = warp / Shared::kAcross * 16;
    across_ = warp % Shared::kAcross;
  }

  __device__ void run() {
    chunk_.load_rows(launch_.args.in.B, launch_.wide_B, shared_.B);
    chunk_.load_rows(launch_.args.in.C, launch_.wide_C, shared_.C);
    GradItem item;
    if (Shared::kStages > 1 && chunk_.items > 0) chunk_.load(item);
    gpu::close_copies();
    // Of pairs of steps above the diagonal there is nothing to add.
    float* const sums = reinterpret_cast<float*>(shared_.sums);
    for (int i = threadIdx.x; i < sizeof(shared_.sums) / sizeof(float); i += Shared::kWarps * 32) {
      sums[i] = 0.0f;
    }
    if (spare() && chunk_.items > 0) chunk_.prepare(item);
    gpu::await_copies<0>();
    __syncthreads();
    multiply_rows();
    GradItem last;
    for (int64_t i = 0; i < chunk_.items; ++i) {
      step(i, last, item);
      last = item;
      item = chunk_.next(item);
    }
    __syncthreads();
    if (spare() && chunk_.items > 0) chunk_.finish(last);
    add_rest();
    store_sums();
  }

 private:
  static constexpr int kSteps = Shared::kSteps;
  static constexpr int kRowStride = Shared::kRowStride, kSignalStride = Shared::kSignalStride;
  static constexpr int kWeightStride = Shared::kWeightStride;
  static constexpr int kPart = kStates / Shared::kAcross;  // of a row of states, a warp
  static constexpr int kTiles = kPart / 8;

  // The steps that the warp has of a tile of pairs of steps; those above the diagonal are idle.
  __device__ int from() const { return across_ * 16; }
  __device__ bool below() const { return from() <= down_; }
  // Whether the warp is one of the latter and has another's work.
  __device__ bool spare() const { return down_ == 0 && across_ == 3; }

  __device__ void step(int64_t i, const GradItem& last, const GradItem& item) {
    if (Shared::kStages == 1) {
      __syncthreads();
      chunk_.load(item);
      gpu::close_copies();
    }
    gpu::await_copies<0>();
    __syncthreads();
    const bool more = i + 1 < chunk_.items;
    const GradItem following = chunk_.next(item);
    if (Shared::kStages > 1 && more) {
      chunk_.load(following);
      gpu::close_copies();
    }
    if (spare()) {
      if (i > 0) chunk_.finish(last);
      if (more && following.head != item.head) chunk_.prepare(following);
    }
    if (below()) weigh(item);
    __syncthreads();
    add_signals(item);
    add_reads(item);
    add_inputs(item);
    add_states(item);
  }

  // C B^T of the warp's pairs of steps.
  __device__ void multiply_rows() {
    if (!below()) return;
#pragma unroll 2
    for (int k = 0; k < kStates; k += 16) {
      const auto left = gpu::left_factor<kRowStride>(shared_.C + down_ * kRowStride + k);
      gpu::RightFactor<T> right[2];
      gpu::right_factors<kRowStride>(shared_.B + from() * kRowStride + k, right);
      gpu::add_product(left, right[0], products_[0]);
      gpu::add_product(left, right[1], products_[1]);
    }
  }

  // dy x^T of the warp's pairs of steps, with their weights.
  __device__ void weigh(const GradItem& item) {
    const typename Shared::Stage& tiles = chunk_.stage(item);
    float dyx[2][4] = {};
#pragma unroll
    for (int k = 0; k < kColumns; k += 16) {
      const auto left = gpu::left_factor<kSignalStride>(tiles.dy + down_ * kSignalStride + k);
      gpu::RightFactor<T> right[2];
      gpu::right_factors<kSignalStride>(tiles.x + from() * kSignalStride + k, right);
      gpu::add_product(left, right[0], dyx[0]);
      gpu::add_product(left, right[1], dyx[1]);
    }
    const ChunkDecays<kSteps>& by = chunk_.decays(item);
    float rows[2] = {}, columns[4] = {};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int t = down_ + gpu::lane_row() + half * 8;
        float2 weights;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int s = from() + j * 8 + gpu::lane_column() + i, place = half * 2 + i;
          const float decay = s <= t ? by.between(s, t) : 0.0f;
          const float weight = decay * products_[j][place];
          const float sized = decay * by.sizes[s] * dyx[j][place];
          pairs_[j][place] += sized;
          const float apart = s < t ? sized * products_[j][place] : 0.0f;
          rows[half] += apart;
          columns[j * 2 + i] += apart;
          (i == 0 ? weights.x : weights.y) = weight;
        }
        const int s = from() + j * 8 + gpu::lane_column();
        *reinterpret_cast<gpu::FactorPair<T>*>(&shared_.weights[t * kWeightStride + s]) =
            gpu::factor_pair(T(), weights);
      }
    }
    GradSums<T>& to = chunk_.sums(item);
    chunk_.add_along_row(item, rows, to.rows[across_] + down_);
    chunk_.add_along_column(item, columns, to.columns[down_ / 16] + from());
  }

  // dx, of the warp's 16 steps and 16 columns, if there are so many.
  __device__ void add_signals(const GradItem& item) {
    const int first = across_ * 16;
    if (first >= kColumns) return;
    const typename Shared::Stage& tiles = chunk_.stage(item);
    const ChunkDecays<kSteps>& by = chunk_.decays(item);
    float dx[2][4] = {};
#pragma unroll 2
    for (int k = 0; k < kStates; k += 16) {
      const auto left = gpu::left_factor<kRowStride>(shared_.B + down_ * kRowStride + k);
      gpu::RightFactor<T> right[2];
      gpu::right_factors<kRowStride>(tiles.g + first * kRowStride + k, right);
      gpu::add_product(left, right[0], dx[0]);
      gpu::add_product(left, right[1], dx[1]);
    }
    float x[2][4], inputs[2] = {}, signals[2] = {};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int s = down_ + gpu::lane_row() + half * 8;
        const float decay = by.between(s, kSteps - 1);
        const float2 pair =
            gpu::pair_of(tiles.x + s * kSignalStride + first + j * 8 + gpu::lane_column());
        float* const two = dx[j] + 2 * half;
        x[j][2 * half] = pair.x;
        x[j][2 * half + 1] = pair.y;
        two[0] = decay == 0.0f ? 0.0f : decay * two[0];
        two[1] = decay == 0.0f ? 0.0f : decay * two[1];
        inputs[half] += pair.x * two[0] + pair.y * two[1];
      }
    }
#pragma unroll 1
    for (int k = down_; k < kSteps; k += 16) {
      const auto left =
          gpu::left_factor_transposed<kWeightStride>(shared_.weights + k * kWeightStride + down_);
      gpu::RightFactor<T> right[2];
      gpu::right_factors_transposed<kSignalStride>(tiles.dy + k * kSignalStride + first, right);
      gpu::add_product(left, right[0], dx[0]);
      gpu::add_product(left, right[1], dx[1]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) signals[i / 2 % 2] += x[i / 4][i % 4] * dx[i / 4][i % 4];
    GradSums<T>& to = chunk_.sums(item);
    chunk_.add_along_row(item, inputs, to.inputs[across_] + down_);
    chunk_.add_along_row(item, signals, to.signals[across_] + down_);
    store_signals(item, x, dx);
  }

  // What the skip adds to dx; dD; and dx leaves.
  __device__ void store_signals(const GradItem& item, const float (&x)[2][4], float (&dx)[2][4]) {
    const View<T, 4>& to = launch_.args.dx;
    const View<const float, 2>& D = launch_.args.in.D;
    const int first = across_ * 16, here = chunk_.width(item);
    const float* sizes = chunk_.decays(item).sizes;
    float skips[4] = {};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int p = first + j * 8 + gpu::lane_column();
      const int64_t at = chunk_.column(item) + p;
      float by[2] = {0.0f, 0.0f};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (!D.absent() && p + i < here) {
          by[i] = D(chunk_.head(item), D.extent(1) == 1 ? 0 : at + i);
        }
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int s = down_ + gpu::lane_row() + half * 8;
        const float2 dy = gpu::pair_of(chunk_.stage(item).dy + s * kSignalStride + p);
        const float size = sizes[s];
        skips[2 * j] += dy.x * x[j][2 * half];
        skips[2 * j + 1] += dy.y * x[j][2 * half + 1];
        gpu::Pair<T> pair;
        gpu::narrow(fmaf(size, dx[j][2 * half], by[0] * dy.x), pair.first);
        gpu::narrow(fmaf(size, dx[j][2 * half + 1], by[1] * dy.y), pair.second);
        if (s < chunk_.count) {
          store_pair(pair, here - p, to.stride(3), launch_.paired_dx,
                     to.data() + chunk_.b * to.stride(0) + (chunk_.t + s) * to.stride(1) +
                         chunk_.head(item) * to.stride(2) + at * to.stride(3));
        }
      }
    }
    if (!D.absent()) store_skips(item, skips);
  }

  // Of one skip a head, tiles of head_dim add up.
  __device__ void store_skips(const GradItem& item, float (&skips)[4]) {
    GradSums<T>& to = chunk_.sums(item);
    chunk_.add_along_column(launch_.args.in.D.extent(1) == 1 ? item : GradItem(), skips,
                            to.skips[down_ / 16] + across_ * 16);
  }

  // What the state before the chunk adds to dC.
  __device__ void add_reads(const GradItem& item) {
    const typename Shared::Stage& tiles = chunk_.stage(item);
    const float* decays_in = chunk_.decays(item).in;
    const float by[2] = {decays_in[down_ + gpu::lane_row()],
                         decays_in[down_ + gpu::lane_row() + 8]};
    float reads[2] = {};
    multiply_by_state(tiles.dy, tiles.h, by, dC_, [&](int n, int half, float x, float y) {
      const float2 C =
          gpu::pair_of(shared_.C + (down_ + gpu::lane_row() + half * 8) * kRowStride + n);
      reads[half] += C.x * x + C.y * y;
    });
    chunk_.add_along_row(item, reads, chunk_.sums(item).reads[across_] + down_);
  }

  // What the adjoint behind the chunk adds to dB.
  __device__ void add_inputs(const GradItem& item) {
    const typename Shared::Stage& tiles = chunk_.stage(item);
    const float* decays_out = chunk_.decays(item).out;
    const float by[2] = {decays_out[down_ + gpu::lane_row()],
                         decays_out[down_ + gpu::lane_row() + 8]};
    multiply_by_state(tiles.x, tiles.g, by, dB_, [](int, int, float, float) {});
  }

  // Adds signals times a state, each step by its decay, to sums; visits what is added.
  template <typename Visit>
  __device__ void multiply_by_state(const T* signals, const T* state, const float (&by)[2],
                                    float (&to)[kTiles][4], Visit&& visit) {
    gpu::LeftFactor<T> left[kColumns / 16];
#pragma unroll
    for (int k = 0; k < kColumns / 16; ++k) {
      left[k] = gpu::left_factor<kSignalStride>(signals + down_ * kSignalStride + k * 16);
    }
    const int first = across_ * kPart;
#pragma unroll
    for (int tile = 0; tile < kTiles; tile += 2) {
      float parts[2][4] = {};
#pragma unroll
      for (int k = 0; k < kColumns / 16; ++k) {
        gpu::RightFactor<T> right[2];
        gpu::right_factors_transposed<kRowStride>(state + k * 16 * kRowStride + first + tile * 8,
                                                  right);
        gpu::add_product(left[k], right[0], parts[0]);
        gpu::add_product(left[k], right[1], parts[1]);
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          // What is forgotten may be no number.
          const float x = by[half] == 0.0f ? 0.0f : by[half] * parts[j][2 * half];
          const float y = by[half] == 0.0f ? 0.0f : by[half] * parts[j][2 * half + 1];
          to[tile + j][2 * half] += x;
          to[tile + j][2 * half + 1] += y;
          visit(first + (tile + j) * 8 + gpu::lane_column(), half, x, y);
        }
      }
    }
  }

  // G times what is left of h behind the chunk.
  __device__ void add_states(const GradItem& item) {
    const typename Shared::Stage& tiles = chunk_.stage(item);
    const float total = chunk_.decays(item).total;
    float sum = 0.0f;
    if (total != 0.0f) {
      constexpr int kPairs = kStates / 2;
      for (int i = threadIdx.x; i < kColumns * kPairs; i += Shared::kWarps * 32) {
        const int place = i / kPairs * kRowStride + i % kPairs * 2;
        const float2 h = gpu::pair_of(tiles.h + place), g = gpu::pair_of(tiles.g + place);
        sum += h.x * g.x + h.y * g.y;
      }
    }
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    if (threadIdx.x % 32 == 0)
      chunk_.put(item, total * sum, chunk_.sums(item).states[threadIdx.x / 32]);
  }

  // What steps of the chunk give each other, of all heads at once.
  __device__ void add_rest() {
    if (below()) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int t = down_ + gpu::lane_row() + half * 8;
          const int s = from() + j * 8 + gpu::lane_column();
          *reinterpret_cast<gpu::FactorPair<T>*>(&shared_.weights[t * kWeightStride + s]) =
              gpu::factor_pair(T(), make_float2(pairs_[j][2 * half], pairs_[j][2 * half + 1]));
        }
      }
    }
    __syncthreads();
    const int first = across_ * kPart;
#pragma unroll 1
    for (int k = 0; k < kSteps; k += 16) {
      gpu::RightFactor<T> right[2];
      if (k <= down_) {
        const auto left =
            gpu::left_factor<kWeightStride>(shared_.weights + down_ * kWeightStride + k);
#pragma unroll
        for (int tile = 0; tile < kTiles; tile += 2) {
          gpu::right_factors_transposed<kRowStride>(shared_.B + k * kRowStride + first + tile * 8,
                                                    right);
          gpu::add_product(left, right[0], dC_[tile]);
          gpu::add_product(left, right[1], dC_[tile + 1]);
        }
      }
      if (k >= down_) {
        const auto left =
            gpu::left_factor_transposed<kWeightStride>(shared_.weights + k * kWeightStride + down_);
#pragma unroll
        for (int tile = 0; tile < kTiles; tile += 2) {
          gpu::right_factors_transposed<kRowStride>(shared_.C + k * kRowStride + first + tile * 8,
                                                    right);
          gpu::add_product(left, right[0], dB_[tile]);
          gpu::add_product(left, right[1], dB_[tile + 1]);
        }
      }
    }
  }

  __device__ void store_sums() const {
    const int64_t state = launch_.args.in.B.extent(3);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t t = chunk_.t + down_ + gpu::lane_row() + half * 8;
        const int n = across_ * kPart + tile * 8 + gpu::lane_column();
        if (t >= chunk_.t + chunk_.count || n >= state) continue;
        const int left = static_cast<int>(state) - n;
        chunk_.store_sum(launch_.args.dB, launch_.paired_dB, 0, t, n, left, dB_[tile] + 2 * half);
        chunk_.store_sum(launch_.args.dC, launch_.paired_dC, 1, t, n, left, dC_[tile] + 2 * half);
      }
    }
  }

  const SsdGradLaunch<T>& launch_;
  Shared& shared_;
  GradChunk<T, kStates, kColumns> chunk_;
  int down_, across_;  // first of the warp's steps; which quarter of the columns
  float products_[2][4] = {}, pairs_[2][4] = {};
  float dB_[kTiles][4] = {}, dC_[kTiles][4] = {};
};

template <typename T, int kStates, int kColumns>
__global__ void __launch_bounds__((GradLayout<T, kStates, kColumns>::kWarps * 32), 1)
    chunk_gradient_kernel(const __grid_constant__ SsdGradLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  using Shared = GradLayout<T, kStates, kColumns>;
  ChunkGradient<T, kStates, kColumns>(launch, *reinterpret_cast<Shared*>(bytes)).run();
}

}  // namespace longwave::ops::ssd_cuda_kernels
