// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_march_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Marches through the chunks of a segment with the states of some heads in registers. Forwards:
///
///   products   C B^T of the chunk, up to the diagonal             all warps, once for all heads
///   weights    products, decays and step sizes                    per head, to shared memory
///   y^T        decay h C^T + x^T weights^T + D x^T                16 rows of head_dim a warp
///   h          decay h + x^T (d decay) B                          likewise
///
/// While a chunk is worked on the next is on its way to the other stage of shared memory.
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
      if (part_ == 0) {
        raw = read(place(0, chunks));
        total = find_decays(launch_.in, raw, steps_at(place(0, chunks)), head(), decays(0));
      }
    }
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t t = place(i, chunks), next = place(i + 1, chunks);
      stage_ = static_cast<int>(i % 2);
      gpu::await_copies<0>();
      __syncthreads();
      if (i + 1 < chunks) {
        load(next, 1 - stage_);
        if (part_ == 0) raw = read(next);
      }
      if (kMarch == SsdMarch::kStates) store_state(t);
      if (kMarch == SsdMarch::kOutputs) {
        multiply_rows();
        __syncthreads();
        weigh();
        __syncthreads();
        write_outputs(t);
      }
      if (part_ == 0 && i + 1 < chunks) {
        total += find_decays(launch_.in, raw, steps_at(next), head(), decays(1 - stage_));
      }
      advance();
    }
    finish(static_cast<float>(total));
  }

 private:
  static constexpr bool kForwards = kWay == SsdWay::kForwards;
  static constexpr int kSteps = Layout::kSteps;
  static constexpr int kTiles = kStates / 8;  // of a state's columns

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
  __device__ T* outputs() const {
    return reinterpret_cast<T*>(behind_stages()) + threadIdx.x / 32 * Layout::kOutputTile;
  }
  __device__ T* weights() const {
    return reinterpret_cast<T*>(behind_stages() + layout_.product_bytes()) +
           mine_ * Layout::kWeightsTile;
  }
  __device__ ChunkDecays<kSteps>& decays(int stage) const {
    return reinterpret_cast<ChunkDecays<kSteps>*>(behind_stages() + layout_.product_bytes() +
                                                  layout_.weight_bytes())[2 * mine_ + stage];
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

  // The tile of C B^T from steps 16 `from` on to steps 16 `to` on.
  __device__ float* product(int to, int from) const {
    return reinterpret_cast<float*>(behind_stages()) + (to * (to + 1) / 2 + from) * 256;
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
        const auto left =
            gpu::left_factor<Layout::kRowStride>(reads(stage_) + to * 16 * Layout::kRowStride + k);
        gpu::RightFactor<T> right[2];
        gpu::right_factors<Layout::kRowStride>(rows(stage_) + from * 16 * Layout::kRowStride + k,
                                               right);
        gpu::add_product(left, right[0], sums[0]);
        gpu::add_product(left, right[1], sums[1]);
      }
      float* const tile = product(to, from) + gpu::lane_row() * 16 + gpu::lane_column();
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
    const ChunkDecays<kSteps>& by = decays(stage_);
    const int lane = threadIdx.x % 32, pair = lane % 8 * 2;
    const bool packed = by.last_start >= 0;
#pragma unroll 1
    for (int group = part_ / kSsdRows; group < 4; group += layout_.warps) {
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
              *reinterpret_cast<const float2*>(product(to, from) + row * 16 + pair);
          float2 weight = make_float2(number.x * sizes.x * gpu::exp2_fast(until - sums.x),
                                      number.y * sizes.y * gpu::exp2_fast(until - sums.y));
          if (s < first || (to == from && s > t)) weight.x = 0.0f;
          if (s + 1 < first || (to == from && s >= t)) weight.y = 0.0f;
          *reinterpret_cast<gpu::FactorPair<T>*>(&weights()[t * Layout::kWeightStride + s]) =
              gpu::factor_pair(T(), weight);
        }
      }
    }
  }

  // y^T = decay h C^T + x^T weights^T + D x^T, for 16 steps at a time.
  __device__ void write_outputs(int64_t t) {
    const int count = steps_at(t);
    const View<const float, 2>& D = launch_.in.D;
    float skips[2] = {0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t p = column_ + row() + i * 8;
      if (!D.absent() && p < launch_.in.x.extent(3)) {
        skips[i] = D(head(), D.extent(1) == 1 ? 0 : p);
      }
    }
    const View<T, 4>& y = launch_.y;
    T* to = y.data() + b_ * y.stride(0) + t * y.stride(1) + head() * y.stride(2) +
            (column_ + part_) * y.stride(3);
    const T* const x = signals(stage_, mine_) + part_;
#pragma unroll 1
    for (int first = 0; first < count; first += 16, to += 16 * y.stride(1)) {
      float sums[2][4] = {};
      read_state(first, sums);
      gpu::LeftFactor<T> left;
#pragma unroll 1
      for (int k = 0; k <= first; k += 16) {
        left = gpu::left_factor_transposed<Layout::kSignalStride>(x + k * Layout::kSignalStride);
        gpu::RightFactor<T> right[2];
        gpu::right_factors<Layout::kWeightStride>(weights() + first * Layout::kWeightStride + k,
                                                  right);
        gpu::add_product(left, right[0], sums[0]);
        gpu::add_product(left, right[1], sums[1]);
      }
      // The last factor held the inputs of just these steps. Through shared memory, so that a
      // step's numbers leave together.
      T* const tile = outputs();
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
      gpu::right_factors<Layout::kRowStride>(reads(stage_) + first * Layout::kRowStride + k, right);
      gpu::add_product(left, right[0], sums[0]);
      gpu::add_product(left, right[1], sums[1]);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float2 by =
          *reinterpret_cast<const float2*>(&decays(stage_).in[first + j * 8 + gpu::lane_column()]);
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
    const int64_t left = y.extent(3) - column_ - part_;
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
    const ChunkDecays<kSteps>& by = decays(stage_);
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

}  // namespace longwave::ops::ssd_cuda_kernels
