// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_march_tiles_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Marches through the chunks of a segment with the states of some heads in registers. Forwards:
///
///   products   C B^T of the chunk, up to the diagonal             all warps, once for all heads
///   weights    products, decays and step sizes                    per head, to shared memory
///   y^T        decay h C^T + x^T weights^T + D x^T                16 rows of head_dim a warp
///   h          decay h + x^T (d decay) B                          likewise
///
/// While a chunk is worked on the next is on its way to the other stage of shared memory, if there
/// are two.
template <typename T, int kStates, SsdMarch kMarch, SsdWay kWay>
class March {
 public:
  using Layout = MarchLayout<T, kStates, kMarch>;

  __device__ March(const SsdMarchLaunch<T>& launch, unsigned char* shared)
      : launch_(launch), at_(march_place<kMarch, kWay>(launch)), tiles_(launch, at_, shared) {}

  __device__ void run() {
    load_state();
    const int64_t chunks = (at_.end - at_.begin + kSteps - 1) / kSteps;
    double total = 0;
    RawSteps<kSteps> raw;
    if (chunks > 0) {
      tiles_.load(place(0, chunks), 0);
      if (at_.part == 0) {
        raw = read(place(0, chunks));
        total = find_decays(launch_.in, raw, at_.steps_at(place(0, chunks), kSteps),
                            HeadRate(launch_.in, at_.head()), tiles_.decays(0));
      }
    }
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t t = place(i, chunks), next = place(i + 1, chunks);
      stage_ = static_cast<int>(i % 2);
      if (tiles_.single() && i > 0) {
        __syncthreads();
        tiles_.load(t, stage_);
      }
      gpu::await_copies<0>();
      __syncthreads();
      if (i + 1 < chunks) {
        if (!tiles_.single()) tiles_.load(next, 1 - stage_);
        if (at_.part == 0) raw = read(next);
      }
      if (kMarch == SsdMarch::kStates) store_state(t);
      if (kMarch == SsdMarch::kOutputs) {
        multiply_rows();
        __syncthreads();
        weigh();
        __syncthreads();
        write_outputs(t);
      }
      if (at_.part == 0 && i + 1 < chunks) {
        total += find_decays(launch_.in, raw, at_.steps_at(next, kSteps),
                             HeadRate(launch_.in, at_.head()), tiles_.decays(1 - stage_));
      }
      advance();
    }
    finish(static_cast<float>(total));
  }

 private:
  static constexpr bool kForwards = kWay == SsdWay::kForwards;
  static constexpr int kSteps = Layout::kSteps;
  static constexpr int kTiles = kStates / 8;  // of a state's columns

  __device__ int64_t place(int64_t i, int64_t chunks) const {
    return at_.begin + (kForwards ? i : chunks - 1 - i) * kSteps;
  }
  __device__ RawSteps<kSteps> read(int64_t t) const {
    return read_steps<kSteps>(launch_.in, at_.b, t, at_.steps_at(t, kSteps), at_.head());
  }

  // Calls visit(p, n, number) for the lane's numbers of the state that are there.
  template <typename Visit>
  __device__ void each_number(Visit&& visit) {
    const int64_t head_dim = launch_.in.x.extent(3), state = launch_.in.B.extent(3);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t p = at_.column + at_.row() + i / 2 * 8;
        const int64_t n = tile * 8 + gpu::lane_column() + i % 2;
        if (p < head_dim && n < state) visit(p, n, state_[tile][i]);
      }
    }
  }

  __device__ void load_state() {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) state_[tile][i] = 0.0f;
    }
    if (kMarch == SsdMarch::kEnds) return;
    if (launch_.plan.segments > 1) {
      each_number([&](int64_t p, int64_t n, float& number) {
        number = launch_.ends(at_.b, at_.segment, at_.head(), p, n);
      });
    } else if (!launch_.from.absent()) {
      each_number([&](int64_t p, int64_t n, float& number) {
        number = launch_.from(at_.b, at_.head(), p, n);
      });
    }
  }

  // Keeps the state before a chunk.
  __device__ void store_state(int64_t t) {
    const View<T, 5>& states = launch_.states;
    const int64_t head_dim = states.extent(3), state = states.extent(4);
    T* const to = states.data() + at_.b * states.stride(0) + t / kSteps * states.stride(1) +
                  at_.head() * states.stride(2) + at_.column * state;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int p = at_.row() + i * 8, n = tile * 8 + gpu::lane_column();
        if (at_.column + p >= head_dim || n >= state) continue;
        gpu::Pair<T> pair;
        gpu::narrow(state_[tile][2 * i], pair.first);
        gpu::narrow(state_[tile][2 * i + 1], pair.second);
        if (state % 2 == 0) {
          *reinterpret_cast<gpu::Pair<T>*>(to + p * state + n) = pair;
        } else {
          to[p * state + n] = pair.first;
          if (n + 1 < state) to[p * state + n + 1] = pair.second;
        }
      }
    }
  }

  // C B^T up to the diagonal, a tile a warp at a time. The last warps begin.
  __device__ void multiply_rows() const {
    const int count = static_cast<int>(blockDim.x / 32);
    for (int index = count - 1 - static_cast<int>(threadIdx.x / 32); index < Layout::kProducts;
         index += count) {
      int to = 0;
      while ((to + 1) * (to + 2) / 2 <= index) ++to;
      const int from = index - to * (to + 1) / 2;
      float sums[2][4] = {};
#pragma unroll
      for (int k = 0; k < kStates; k += 16) {
        const auto left = gpu::left_factor<Layout::kRowStride>(tiles_.reads(stage_) +
                                                               to * 16 * Layout::kRowStride + k);
        gpu::RightFactor<T> right[2];
        gpu::right_factors<Layout::kRowStride>(
            tiles_.rows(stage_) + from * 16 * Layout::kRowStride + k, right);
        gpu::add_product(left, right[0], sums[0]);
        gpu::add_product(left, right[1], sums[1]);
      }
      float* const tile = tiles_.product(to, from) + gpu::lane_row() * 16 + gpu::lane_column();
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        *reinterpret_cast<float2*>(tile + i % 2 * 8 * 16 + i / 2 * 8) =
            make_float2(sums[i / 2][i % 2 * 2], sums[i / 2][i % 2 * 2 + 1]);
      }
    }
  }

  // C B^T with the decays and step sizes of the head: of each tile, a warp has every fourth group
  // of four rows.
  __device__ void weigh() const {
    const ChunkDecays<kSteps>& by = tiles_.decays(stage_);
    const int lane = threadIdx.x % 32, pair = lane % 8 * 2;
    const bool packed = by.last_start >= 0;
#pragma unroll 1
    for (int group = at_.part / kSsdRows; group < 4; group += tiles_.warps()) {
      const int row = group * 4 + lane / 8;
#pragma unroll
      for (int from = 0; from < Layout::kAcross; ++from) {
        const int s = from * 16 + pair;
        const float2 sums = *reinterpret_cast<const float2*>(&by.sums[s]);
        const float2 sizes = *reinterpret_cast<const float2*>(&by.sizes[s]);
#pragma unroll
        for (int to = from; to < Layout::kAcross; ++to) {
          const int t = to * 16 + row, first = packed ? by.first[t] : -1;
          const float until = by.sums[t];
          const float2 number =
              *reinterpret_cast<const float2*>(tiles_.product(to, from) + row * 16 + pair);
          float2 weight = make_float2(number.x * sizes.x * gpu::exp2_fast(until - sums.x),
                                      number.y * sizes.y * gpu::exp2_fast(until - sums.y));
          if (s < first || (to == from && s > t)) weight.x = 0.0f;
          if (s + 1 < first || (to == from && s >= t)) weight.y = 0.0f;
          *reinterpret_cast<gpu::FactorPair<T>*>(&tiles_.weights()[t * Layout::kWeightStride + s]) =
              gpu::factor_pair(T(), weight);
        }
      }
    }
  }

  // y^T = decay h C^T + x^T weights^T + D x^T, for 16 steps at a time.
  __device__ void write_outputs(int64_t t) {
    const int count = at_.steps_at(t, kSteps);
    const View<const float, 2>& D = launch_.in.D;
    float skips[2] = {0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t p = at_.column + at_.row() + i * 8;
      if (!D.absent() && p < launch_.in.x.extent(3)) {
        skips[i] = D(at_.head(), D.extent(1) == 1 ? 0 : p);
      }
    }
    const View<T, 4>& y = launch_.y;
    T* to = y.data() + at_.b * y.stride(0) + t * y.stride(1) + at_.head() * y.stride(2) +
            (at_.column + at_.part) * y.stride(3);
    const T* const x = tiles_.signals(stage_, at_.mine) + at_.part;
#pragma unroll 1
    for (int first = 0; first < count; first += 16, to += 16 * y.stride(1)) {
      float sums[2][4] = {};
      read_state(first, sums);
      gpu::LeftFactor<T> left;
#pragma unroll 1
      for (int k = 0; k <= first; k += 16) {
        left = gpu::left_factor_transposed<Layout::kSignalStride>(x + k * Layout::kSignalStride);
        gpu::RightFactor<T> right[2];
        gpu::right_factors<Layout::kWeightStride>(
            tiles_.weights() + first * Layout::kWeightStride + k, right);
        gpu::add_product(left, right[0], sums[0]);
        gpu::add_product(left, right[1], sums[1]);
      }
      // The last factor held the inputs of just these steps. Through shared memory, so that a
      // step's numbers leave together.
      T* const tile = tiles_.outputs();
      __syncwarp();
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float2 inputs = gpu::numbers_of(left.pairs[i]);
        const float skip = skips[i % 2];
        const float* const two = sums[i / 2] + i % 2 * 2;
        T* const at = tile + (i / 2 * 8 + gpu::lane_column()) * Layout::kOutputStride +
                      gpu::lane_row() + i % 2 * 8;
        gpu::narrow(fmaf(skip, inputs.x, two[0]), at[0]);
        gpu::narrow(fmaf(skip, inputs.y, two[1]), at[Layout::kOutputStride]);
      }
      __syncwarp();
      store_outputs(count - first, tile, to);
    }
  }

  // What the state before the chunk gives to 16 steps.
  __device__ void read_state(int first, float (&sums)[2][4]) const {
#pragma unroll
    for (int k = 0; k < kStates; k += 16) {
      const auto left = gpu::left_factor_of<T>(state_[k / 8], state_[k / 8 + 1]);
      gpu::RightFactor<T> right[2];
      gpu::right_factors<Layout::kRowStride>(tiles_.reads(stage_) + first * Layout::kRowStride + k,
                                             right);
      gpu::add_product(left, right[0], sums[0]);
      gpu::add_product(left, right[1], sums[1]);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float2 by = *reinterpret_cast<const float2*>(
          &tiles_.decays(stage_).in[first + j * 8 + gpu::lane_column()]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float decay = i % 2 == 0 ? by.x : by.y;
        // What is forgotten may be no number.
        sums[j][i] = decay == 0.0f ? 0.0f : decay * sums[j][i];
      }
    }
  }

  __device__ void store_outputs(int count, const T* from, T* to) const {
    constexpr int kWide = 16 / static_cast<int>(sizeof(T)), kPieces = kSsdRows / kWide;
    const View<T, 4>& y = launch_.y;
    const int64_t left = y.extent(3) - at_.column - at_.part;
    const int lane = threadIdx.x % 32, column = lane % kPieces * kWide;
    if (column >= left) return;
#pragma unroll
    for (int step = lane / kPieces; step < 16; step += 32 / kPieces) {
      if (step >= count) break;
      const T* const row = from + step * Layout::kOutputStride + column;
      if (launch_.wide_y) {
        *reinterpret_cast<uint4*>(to + step * y.stride(1) + column) =
            *reinterpret_cast<const uint4*>(row);
      } else {
        for (int i = 0; i < kWide && column + i < left; ++i) {
          to[step * y.stride(1) + (column + i) * y.stride(3)] = row[i];
        }
      }
    }
  }

  // The state behind the chunk.
  __device__ void advance() {
    const ChunkDecays<kSteps>& by = tiles_.decays(stage_);
    // What is forgotten may be no number.
    const float total = by.total;
    const bool forgotten = total == 0.0f;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        state_[tile][i] = forgotten ? 0.0f : total * state_[tile][i];
      }
    }
    const float* const weights = kForwards ? by.out : by.in;
    const T* const signal = tiles_.signals(stage_, at_.mine) + at_.part;
#pragma unroll 1
    for (int k = 0; k < kSteps; k += 16) {
      auto left =
          gpu::left_factor_transposed<Layout::kSignalStride>(signal + k * Layout::kSignalStride);
      gpu::scale_columns(weights + k, left);
#pragma unroll
      for (int n = 0; n < kStates; n += 16) {
        gpu::RightFactor<T> right[2];
        gpu::right_factors_transposed<Layout::kRowStride>(
            tiles_.rows(stage_) + k * Layout::kRowStride + n, right);
        gpu::add_product(left, right[0], state_[n / 8]);
        gpu::add_product(left, right[1], state_[n / 8 + 1]);
      }
    }
  }

  __device__ void finish(float total) {
    if (kMarch == SsdMarch::kEnds) {
      each_number([&](int64_t p, int64_t n, float& number) {
        launch_.ends(at_.b, at_.segment, at_.head(), p, n) = number;
      });
      if (at_.part == 0 && at_.column == 0 && threadIdx.x % 32 == 0) {
        launch_.totals(at_.b, at_.segment, at_.head()) = total;
      }
    } else if (at_.segment == (kForwards ? launch_.plan.segments - 1 : 0)) {
      each_number([&](int64_t p, int64_t n, float& number) {
        launch_.to(at_.b, at_.head(), p, n) = number;
      });
    }
  }

  const SsdMarchLaunch<T>& launch_;
  MarchPlace at_;
  MarchTiles<T, kStates, kMarch> tiles_;
  int stage_ = 0;  // of the tiles, which is in use
  float state_[kTiles][4];
};

template <typename T, int kStates, SsdMarch kMarch, SsdWay kWay>
__global__ void __launch_bounds__((kMarchThreads<T, kStates>), 1)
    march_kernel(const __grid_constant__ SsdMarchLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  March<T, kStates, kMarch, kWay>(launch, bytes).run();
}

}  // namespace longwave::ops::ssd_cuda_kernels
