// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/fragments_cuda.cuh"
#include "longwave/ops/ssd/ssd_decay_cuda.cuh"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops {

/// What a march through the chunks leaves: the state behind each segment of time, the state before
/// each chunk, or the outputs; the latter two also the state at the end.
enum class SsdMarch { kEnds, kStates, kOutputs };

/// Which way it goes: forwards with the state, or backwards with its adjoint.
enum class SsdWay { kForwards, kBackwards };

/// What the kernels of a march read and write. Forwards, h[t] = decay h[t-1] + d x[t] B[t]^T;
/// backwards, g[t-1] = decay (g[t] + dy[t] C[t]^T), where `signals` is dy and `rows` is C.
template <typename T>
struct SsdMarchLaunch {
  SsdCudaInputs<T> in;
  View<const T, 4> signals;   // (batch, time, heads, head_dim)
  View<const T, 4> rows;      // (batch, time, groups, state)
  View<const float, 4> from;  // (batch, heads, head_dim, state) at the outset, or absent for zero
  View<float, 4> to;          // (batch, heads, head_dim, state) at the end
  View<float, 5> ends;        // (batch, segments, heads, head_dim, state) of kEnds, then carried on
  View<float, 3> totals;      // (batch, segments, heads) log2 of a segment's decay
  View<T, 5> states;          // (batch, chunks, heads, head_dim, state) of kStates
  View<T, 4> y;               // (batch, time, heads, head_dim) of kOutputs
  SsdPlan plan;
  int64_t share;  // heads of a group
  int warps;      // of a head
  bool wide_signals, wide_rows, wide_C, wide_y;
};

namespace ssd_cuda_kernels {

/// The most threads of a block: what leaves each the registers that its part of a state takes.
template <typename T, int kStates>
inline constexpr int kMarchThreads = sizeof(T) == 2 && kStates <= 128 ? 640 : 256;

/// Shared memory of a block: two stages of tiles, then what is made of them.
template <typename T, int kStates, SsdMarch kMarch>
struct MarchLayout {
  static constexpr bool kOutputs = kMarch == SsdMarch::kOutputs;
  static constexpr int kSteps = kSsdCudaChunk<T>;
  static constexpr int kRowStride = kStates + gpu::kTilePadding<T>;
  static constexpr int kSignalStride = kSsdColumns + gpu::kTilePadding<T>;
  static constexpr int kWeightStride = kSteps + gpu::kTilePadding<T>;
  static constexpr int kProductStride = kSteps + 4;
  static constexpr int kOutputStride = kSsdRows + gpu::kTilePadding<T>;
  static constexpr int kRowsTile = kSteps * kRowStride;
  static constexpr int kSignalsTile = kSteps * kSignalStride;
  static constexpr int kWeightsTile = kSteps * kWeightStride;
  static constexpr int kOutputTile = 16 * kOutputStride;

  int heads, warps;  // of the block, and of a head

  __host__ __device__ int stage() const {
    return kRowsTile * (kOutputs ? 2 : 1) + heads * kSignalsTile;
  }
  // Products of C and B^T and, when they are used up, a tile of outputs a warp.
  __host__ __device__ int product_bytes() const {
    if (!kOutputs) return 0;
    const int products = kSteps * kProductStride * static_cast<int>(sizeof(float));
    const int outputs = heads * warps * kOutputTile * static_cast<int>(sizeof(T));
    return products > outputs ? products : outputs;
  }
  __host__ __device__ int weight_bytes() const {
    return kOutputs ? heads * kWeightsTile * static_cast<int>(sizeof(T)) : 0;
  }
  __host__ __device__ int bytes() const {
    return 2 * stage() * static_cast<int>(sizeof(T)) + product_bytes() + weight_bytes() +
           heads * static_cast<int>(sizeof(ChunkDecays<kSteps>));
  }
};

template <typename T, int kStates, SsdMarch kMarch, SsdWay kWay>
class March {
 public:
  using Layout = MarchLayout<T, kStates, kMarch>;

  __device__ March(const SsdMarchLaunch<T>& launch, unsigned char* shared)
      : launch_(launch), layout_{launch.plan.heads, launch.warps}, shared_(shared) {
    const int64_t blocks = launch.in.x.extent(2) / layout_.heads;
    int64_t index = blockIdx.x;
    first_head_ = index % blocks * layout_.heads;
    index /= blocks;
    const int64_t tiles = (launch.in.x.extent(3) + kSsdColumns - 1) / kSsdColumns;
    column_ = index % tiles * kSsdColumns;
    index /= tiles;
    // The pass for ends leaves out the segment that nothing follows.
    const int64_t segments = launch.plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
    segment_ = index % segments + (kMarch == SsdMarch::kEnds && !kForwards ? 1 : 0);
    b_ = index / segments;
    group_ = first_head_ / launch.share;
    const int warp = threadIdx.x / 32;
    mine_ = warp / layout_.warps;
    part_ = warp % layout_.warps * kSsdRows;
    begin_ = segment_ * launch.plan.segment_steps;
    end_ = launch.in.x.extent(1);
    if (segment_ + 1 < launch.plan.segments) end_ = begin_ + launch.plan.segment_steps;
  }

  __device__ void run() {
    load_state();
    const int64_t chunks = (end_ - begin_ + kSteps - 1) / kSteps;
    double total = 0;
    RawSteps<kSteps> raw;
    if (chunks > 0) {
      load(place(0, chunks), 0);
      if (part_ == 0) raw = read(place(0, chunks));
    }
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t t = place(i, chunks);
      gpu::await_copies<0>();
      __syncthreads();
      if (part_ == 0) {
        total += find_decays(launch_.in, raw, steps_at(t), head(), decays());
        if (i + 1 < chunks) raw = read(place(i + 1, chunks));
      }
      if (i + 1 < chunks) load(place(i + 1, chunks), static_cast<int>((i + 1) % 2));
      stage_ = static_cast<int>(i % 2);
      if (kMarch == SsdMarch::kStates) store_state(t);
      if (kMarch == SsdMarch::kOutputs) {
        multiply_rows();
        __syncthreads();
        weigh();
      }
      __syncthreads();
      if (kMarch == SsdMarch::kOutputs) write_outputs(t);
      advance();
    }
    finish(static_cast<float>(total));
  }

 private:
  static constexpr bool kForwards = kWay == SsdWay::kForwards;
  static constexpr int kSteps = Layout::kSteps;
  static constexpr int kTiles = kStates / 8;  // of a state's columns
  // Steps whose outputs are found at once.
  static constexpr int kAtOnce = 16;

  __device__ int64_t head() const { return first_head_ + mine_; }
  __device__ int64_t place(int64_t i, int64_t chunks) const {
    return begin_ + (kForwards ? i : chunks - 1 - i) * kSteps;
  }
  __device__ int steps_at(int64_t t) const {
    const int64_t left = end_ - t;
    return left < kSteps ? static_cast<int>(left) : kSteps;
  }
  __device__ int row() const { return part_ + gpu::lane_row(); }

  __device__ T* rows(int stage) const {
    return reinterpret_cast<T*>(shared_) + stage * layout_.stage();
  }
  __device__ T* reads(int stage) const { return rows(stage) + Layout::kRowsTile; }
  __device__ T* signals(int stage, int which) const {
    return rows(stage) + Layout::kRowsTile * (Layout::kOutputs ? 2 : 1) +
           which * Layout::kSignalsTile;
  }
  __device__ unsigned char* behind_stages() const {
    return shared_ + 2 * layout_.stage() * static_cast<int>(sizeof(T));
  }
  __device__ float* products() const { return reinterpret_cast<float*>(behind_stages()); }
  __device__ T* outputs() const {
    return reinterpret_cast<T*>(behind_stages()) + threadIdx.x / 32 * Layout::kOutputTile;
  }
  __device__ T* weights() const {
    return reinterpret_cast<T*>(behind_stages() + layout_.product_bytes()) +
           mine_ * Layout::kWeightsTile;
  }
  __device__ ChunkDecays<kSteps>& decays() const {
    return reinterpret_cast<ChunkDecays<kSteps>*>(behind_stages() + layout_.product_bytes() +
                                                  layout_.weight_bytes())[mine_];
  }

  __device__ RawSteps<kSteps> read(int64_t t) const {
    return read_steps<kSteps>(launch_.in, b_, t, steps_at(t), head());
  }

  __device__ void load(int64_t t, int stage) const {
    const int count = steps_at(t);
    load_rows(launch_.rows, launch_.wide_rows, t, count, rows(stage));
    if (kMarch == SsdMarch::kOutputs) {
      load_rows(launch_.in.C, launch_.wide_C, t, count, reads(stage));
    }
    const View<const T, 4>& from = launch_.signals;
    const int64_t left = from.extent(3) - column_;
    for (int i = 0; i < layout_.heads; ++i) {
      gpu::load_tile<kSteps, kSsdColumns>(
          gpu::TileToLoad<T>{.from = from.data() + b_ * from.stride(0) + t * from.stride(1) +
                                     (first_head_ + i) * from.stride(2) + column_ * from.stride(3),
                             .row_stride = from.stride(1),
                             .stride = from.stride(3),
                             .rows = count,
                             .count = left < kSsdColumns ? static_cast<int>(left) : kSsdColumns,
                             .wide = launch_.wide_signals},
          signals(stage, i));
    }
    gpu::close_copies();
  }

  __device__ void load_rows(const View<const T, 4>& from, bool wide, int64_t t, int count,
                            T* to) const {
    gpu::load_tile<kSteps, kStates>(
        gpu::TileToLoad<T>{.from = from.data() + b_ * from.stride(0) + t * from.stride(1) +
                                   group_ * from.stride(2),
                           .row_stride = from.stride(1),
                           .stride = from.stride(3),
                           .rows = count,
                           .count = static_cast<int>(from.extent(3)),
                           .wide = wide},
        to);
  }

  // Calls visit(p, n, number) for the lane's numbers of the state that are there.
  template <typename Visit>
  __device__ void each_number(Visit&& visit) {
    const int64_t head_dim = launch_.in.x.extent(3), state = launch_.in.B.extent(3);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t p = column_ + row() + i / 2 * 8;
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
        number = launch_.ends(b_, segment_, head(), p, n);
      });
    } else if (!launch_.from.absent()) {
      each_number(
          [&](int64_t p, int64_t n, float& number) { number = launch_.from(b_, head(), p, n); });
    }
  }

  // Keeps the state before a chunk.
  __device__ void store_state(int64_t t) {
    const View<T, 5>& states = launch_.states;
    const int64_t head_dim = states.extent(3), state = states.extent(4);
    T* const to = states.data() + b_ * states.stride(0) + t / kSteps * states.stride(1) +
                  head() * states.stride(2) + column_ * state;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int p = row() + i * 8, n = tile * 8 + gpu::lane_column();
        if (column_ + p >= head_dim || n >= state) continue;
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

  // C B^T up to the diagonal, a tile of 16 x 16 a warp at a time. The last warps begin: the first
  // of a head are busy with its decays.
  __device__ void multiply_rows() const {
    constexpr int kAcross = kSteps / 16, kCount = kAcross * (kAcross + 1) / 2;
    const int count = static_cast<int>(blockDim.x / 32);
    for (int index = count - 1 - static_cast<int>(threadIdx.x / 32); index < kCount;
         index += count) {
      int to = 0;
      while ((to + 1) * (to + 2) / 2 <= index) ++to;
      const int from = index - to * (to + 1) / 2;
      float sums[2][4] = {};
#pragma unroll
      for (int k = 0; k < kStates; k += 16) {
        const auto left =
            gpu::left_factor<Layout::kRowStride>(reads(stage_) + to * 16 * Layout::kRowStride + k);
        gpu::RightFactor<T> right[2];
        gpu::right_factors<Layout::kRowStride>(rows(stage_) + from * 16 * Layout::kRowStride + k,
                                               right);
        gpu::add_product(left, right[0], sums[0]);
        gpu::add_product(left, right[1], sums[1]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int t = to * 16 + gpu::lane_row() + i % 2 * 8;
        const int s = from * 16 + gpu::lane_column() + i / 2 * 8;
        *reinterpret_cast<float2*>(&products()[t * Layout::kProductStride + s]) =
            make_float2(sums[i / 2][i % 2 * 2], sums[i / 2][i % 2 * 2 + 1]);
      }
    }
  }

  // C B^T with the decays and step sizes of the head.
  __device__ void weigh() const {
    const ChunkDecays<kSteps>& by = decays();
    constexpr int kPairs = kSteps / 2, kRowsAtOnce = 32 / kPairs;
    const int lane = threadIdx.x % 32, s = lane % kPairs * 2;
    const float2 sums = *reinterpret_cast<const float2*>(&by.sums[s]);
    const float2 sizes = *reinterpret_cast<const float2*>(&by.sizes[s]);
#pragma unroll 4
    for (int i = part_ / kSsdRows * kRowsAtOnce; i < kSteps; i += layout_.warps * kRowsAtOnce) {
      const int t = i + lane / kPairs, first = by.first[t];
      const float until = by.sums[t];
      // Beyond the tile on the diagonal nothing is read.
      if (s > (t | 15)) continue;
      const float2 product =
          *reinterpret_cast<const float2*>(&products()[t * Layout::kProductStride + s]);
      const bool here = s >= first && s <= t, next = s + 1 >= first && s < t;
      const float2 weight =
          make_float2(here ? product.x * sizes.x * gpu::exp2_fast(until - sums.x) : 0.0f,
                      next ? product.y * sizes.y * gpu::exp2_fast(until - sums.y) : 0.0f);
      *reinterpret_cast<gpu::FactorPair<T>*>(&weights()[t * Layout::kWeightStride + s]) =
          gpu::factor_pair(T(), weight);
    }
  }

  // y^T = decay h C^T + x^T weights^T + D x^T, for 16 steps at a time.
  __device__ void write_outputs(int64_t t) {
    const int count = steps_at(t);
    const int64_t heads = head();
    const View<const float, 2>& D = launch_.in.D;
    float skips[2] = {0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t p = column_ + row() + i * 8;
      if (!D.absent() && p < launch_.in.x.extent(3)) {
        skips[i] = D(heads, D.extent(1) == 1 ? 0 : p);
      }
    }
    const T* const x = signals(stage_, mine_) + part_;
#pragma unroll 1
    for (int first = 0; first < count; first += kAtOnce) {
      float sums[2][4] = {};
      read_state(first, sums);
#pragma unroll 1
      for (int k = 0; k <= first; k += 16) {
        const auto left =
            gpu::left_factor_transposed<Layout::kSignalStride>(x + k * Layout::kSignalStride);
        gpu::RightFactor<T> right[2];
        gpu::right_factors<Layout::kWeightStride>(weights() + first * Layout::kWeightStride + k,
                                                  right);
        gpu::add_product(left, right[0], sums[0]);
        gpu::add_product(left, right[1], sums[1]);
      }
      // Through shared memory, so that a step's numbers leave together.
      T* const to = outputs();
      __syncwarp();
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int step = i / 4 * 8 + gpu::lane_column() + i % 2,
                  p = gpu::lane_row() + i / 2 % 2 * 8;
        const float input = gpu::widen(x[(first + step) * Layout::kSignalStride + p]);
        gpu::narrow(fmaf(skips[i / 2 % 2], input, sums[i / 4][i % 4]),
                    to[step * Layout::kOutputStride + p]);
      }
      __syncwarp();
      store_outputs(t + first, count - first, to);
    }
  }

  // What the state before the chunk gives to 16 steps.
  __device__ void read_state(int first, float (&sums)[2][4]) const {
#pragma unroll
    for (int k = 0; k < kStates; k += 16) {
      const auto left = gpu::left_factor_of<T>(state_[k / 8], state_[k / 8 + 1]);
      gpu::RightFactor<T> right[2];
      gpu::right_factors<Layout::kRowStride>(reads(stage_) + first * Layout::kRowStride + k, right);
      gpu::add_product(left, right[0], sums[0]);
      gpu::add_product(left, right[1], sums[1]);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float2 by =
          *reinterpret_cast<const float2*>(&decays().in[first + j * 8 + gpu::lane_column()]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float decay = i % 2 == 0 ? by.x : by.y;
        // What is forgotten may be no number.
        sums[j][i] = decay == 0.0f ? 0.0f : decay * sums[j][i];
      }
    }
  }

  __device__ void store_outputs(int64_t t, int count, const T* from) const {
    constexpr int kWide = 16 / static_cast<int>(sizeof(T)), kPieces = kSsdRows / kWide;
    const View<T, 4>& y = launch_.y;
    T* const to = y.data() + b_ * y.stride(0) + t * y.stride(1) + head() * y.stride(2) +
                  (column_ + part_) * y.stride(3);
    const int64_t left = y.extent(3) - column_ - part_;
    const int lane = threadIdx.x % 32, column = lane % kPieces * kWide;
#pragma unroll
    for (int step = lane / kPieces; step < 16; step += 32 / kPieces) {
      if (step >= count || column >= left) continue;
      if (launch_.wide_y) {
        *reinterpret_cast<uint4*>(to + step * y.stride(1) + column) =
            *reinterpret_cast<const uint4*>(from + step * Layout::kOutputStride + column);
      } else {
        for (int i = 0; i < kWide && column + i < left; ++i) {
          to[step * y.stride(1) + (column + i) * y.stride(3)] =
              from[step * Layout::kOutputStride + column + i];
        }
      }
    }
  }

  // The state behind the chunk.
  __device__ void advance() {
    const ChunkDecays<kSteps>& by = decays();
    const float total = by.total;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        state_[tile][i] = total == 0.0f ? 0.0f : total * state_[tile][i];
      }
    }
    const float* const weights = kForwards ? by.out : by.in;
    const T* const signal = signals(stage_, mine_) + part_;
#pragma unroll 1
    for (int k = 0; k < kSteps; k += 16) {
      auto left =
          gpu::left_factor_transposed<Layout::kSignalStride>(signal + k * Layout::kSignalStride);
      gpu::scale_columns(weights + k, left);
#pragma unroll
      for (int n = 0; n < kStates; n += 16) {
        gpu::RightFactor<T> right[2];
        gpu::right_factors_transposed<Layout::kRowStride>(rows(stage_) + k * Layout::kRowStride + n,
                                                          right);
        gpu::add_product(left, right[0], state_[n / 8]);
        gpu::add_product(left, right[1], state_[n / 8 + 1]);
      }
    }
  }

  __device__ void finish(float total) {
    if (kMarch == SsdMarch::kEnds) {
      each_number([&](int64_t p, int64_t n, float& number) {
        launch_.ends(b_, segment_, head(), p, n) = number;
      });
      if (part_ == 0 && column_ == 0 && threadIdx.x % 32 == 0) {
        launch_.totals(b_, segment_, head()) = total;
      }
    } else if (segment_ == (kForwards ? launch_.plan.segments - 1 : 0)) {
      each_number(
          [&](int64_t p, int64_t n, float& number) { launch_.to(b_, head(), p, n) = number; });
    }
  }

  const SsdMarchLaunch<T>& launch_;
  Layout layout_;
  unsigned char* shared_;
  int64_t first_head_, column_, segment_, b_, group_, begin_, end_;
  int mine_, part_, stage_ = 0;  // head in the block, first row of it, tiles in use
  float state_[kTiles][4];
};

template <typename T, int kStates, SsdMarch kMarch, SsdWay kWay>
__global__ void __launch_bounds__((kMarchThreads<T, kStates>), 1)
    march_kernel(const __grid_constant__ SsdMarchLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  March<T, kStates, kMarch, kWay>(launch, bytes).run();
}

/// Turns what each segment adds into the state before it, in the order of the way.
template <typename T, SsdWay kWay>
__global__ void march_carry_kernel(const __grid_constant__ SsdMarchLaunch<T> launch) {
  const View<float, 5>& ends = launch.ends;
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t heads = ends.extent(2), head_dim = ends.extent(3), state = ends.extent(4);
  if (index >= ends.extent(0) * heads * head_dim * state) return;
  const int64_t n = index % state, p = index / state % head_dim;
  const int64_t head = index / (state * head_dim) % heads, b = index / (state * head_dim * heads);
  float h = launch.from.absent() ? 0.0f : launch.from(b, head, p, n);
  const int64_t segments = launch.plan.segments;
  for (int64_t i = 0; i < segments; ++i) {
    const int64_t segment = kWay == SsdWay::kForwards ? i : segments - 1 - i;
    float& end = ends(b, segment, head, p, n);
    if (i + 1 == segments) {
      end = h;
      break;
    }
    const float added = end, decay = gpu::exp2_fast(launch.totals(b, segment, head));
    end = h;
    h = decay == 0.0f ? added : fmaf(decay, h, added);
  }
}

}  // namespace ssd_cuda_kernels
}  // namespace longwave::ops
