// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/swizzled_copy_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_hopper_layout_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_steps_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// What the warpgroups of a block leave of one head, to be added up; as GradSums.
struct HopperSums {
  float rows[4][kHopperSteps];
  float columns[1][kHopperSteps];
  float reads[1][kHopperSteps];
  float inputs[1][kHopperSteps];
  float signals[1][kHopperSteps];
  float states[4];
  float skips[4][kSsdColumns];
};

/// Shared memory of a block that finds the gradients of a chunk on Hopper.
template <typename T, int kStates>
struct HopperGradLayout {
  static constexpr int kTiles = kStates / 64, kTile = kHopperSteps * 64;
  // Heads on their way or in work. Of a head that is done the steps are still wanted.
  static constexpr int kStages = 3, kKept = 4;

  struct Stage {
    T x[kTile], dy[kTile];
    T h[kTiles][kTile], g[kTiles][kTile];
  };

  T B[kTiles][kTile], C[kTiles][kTile];
  Stage stages[kStages];
  T results[kTile];  // dx of a head; at last the pairs of steps
  StepsOfChunk steps[kKept];
  float skips[kKept][kSsdColumns];  // D
  HopperSums sums[2];
};

/// Finds the gradients of one chunk, head after head, with a warpgroup for each of
///
///   dx      what steps give each other and what G gives, and the pairs' sums over heads
///   dC      what the state before the chunk gives
///   dB      what the adjoint behind it gives
///
/// which meet once a head. Rows of all sums are steps: of pairs, those that give.
template <typename T, int kStates>
class HopperChunkGradient {
 public:
  using Shared = HopperGradLayout<T, kStates>;
  static constexpr int kThreads = 3 * gpu::kWarpgroup;

  __device__ HopperChunkGradient(const SsdHopperGradLaunch<T>& launch, Shared& shared)
      : launch_(launch.common), steps_(launch.steps), shared_(shared) {
    int64_t index = blockIdx.x;
    split_ = index % launch_.splits;
    index /= launch_.splits;
    const int64_t groups = launch_.args.in.B.extent(2);
    group_ = index % groups;
    index /= groups;
    chunk_ = index % launch_.chunks;
    b_ = index / launch_.chunks;
    t_ = chunk_ * kHopperSteps;
    const int64_t left = launch_.args.in.x.extent(1) - t_;
    count_ = left < kHopperSteps ? static_cast<int>(left) : kHopperSteps;
    const int64_t begin = split_ * launch_.plan.heads;
    first_ = group_ * launch_.share + begin;
    heads_ = static_cast<int>(min(launch_.plan.heads, launch_.share - begin));
    width_ = static_cast<int>(launch_.args.in.x.extent(3));
    down_ = threadIdx.x % gpu::kWarpgroup / 32 * 16;
  }

  __device__ void run() {
    for (int i = threadIdx.x; i < Shared::kKept * kSsdColumns; i += kThreads) {
      shared_.skips[i / kSsdColumns][i % kSsdColumns] = 0.0f;
    }
    __syncthreads();
    load_rows(launch_.args.in.B, shared_.B[0]);
    load_rows(launch_.args.in.C, shared_.C[0]);
    load(0);
    gpu::close_copies();
    if (heads_ > 1) load(1);
    gpu::close_copies();
    const int role = threadIdx.x / gpu::kWarpgroup;
    if (role == 0) {
      gpu::take_registers<200>();
      give_signals();
    } else if (role == 1) {
      gpu::give_registers<152>();
      give_reads();
    } else {
      gpu::give_registers<152>();
      give_inputs();
    }
  }

 private:
  static constexpr int kTiles = Shared::kTiles;
  using Order = gpu::TileOrder;
  using Stage = typename Shared::Stage;

  __device__ const Stage& stage(int i) const { return shared_.stages[i % Shared::kStages]; }
  __device__ const StepsOfChunk& steps(int i) const { return shared_.steps[i % Shared::kKept]; }
  __device__ HopperSums& sums(int i) const { return shared_.sums[i % 2]; }
  __device__ int row(int half) const { return down_ + gpu::lane_row() + half * 8; }
  __device__ int warp() const { return down_ / 16; }

  __device__ void load_rows(const View<const T, 4>& from, T* to) const {
    gpu::load_swizzled<kThreads, kTiles>(
        from.data() + b_ * from.stride(0) + t_ * from.stride(1) + group_ * from.stride(2),
        from.stride(1), count_, static_cast<int>(from.extent(3)), to);
  }

  __device__ void load(int i) const {
    Stage& to = shared_.stages[i % Shared::kStages];
    const int64_t head = first_ + i;
    load_signals(launch_.args.in.x, head, to.x);
    load_signals(launch_.args.dy, head, to.dy);
    load_state(launch_.h, head, to.h[0]);
    load_state(launch_.g, head, to.g[0]);
    const auto* from = reinterpret_cast<const unsigned char*>(&steps_(b_, chunk_, head));
    auto* const at = reinterpret_cast<unsigned char*>(&shared_.steps[i % Shared::kKept]);
    constexpr int kPieces = sizeof(StepsOfChunk) / 16;
    static_assert(kPieces <= kThreads && sizeof(StepsOfChunk) % 16 == 0);
    if (threadIdx.x < kPieces) gpu::copy_16_bytes(at + threadIdx.x * 16, from + threadIdx.x * 16);
    const View<const float, 2>& D = launch_.args.in.D;
    if (!D.absent() && threadIdx.x < width_) {
      gpu::copy_4_bytes(&shared_.skips[i % Shared::kKept][threadIdx.x],
                        &D(head, D.extent(1) == 1 ? 0 : threadIdx.x));
    }
  }

  __device__ void load_signals(const View<const T, 4>& from, int64_t head, T* to) const {
    gpu::load_swizzled<kThreads, 1>(
        from.data() + b_ * from.stride(0) + t_ * from.stride(1) + head * from.stride(2),
        from.stride(1), count_, width_, to);
  }

  __device__ void load_state(const View<T, 5>& from, int64_t head, T* to) const {
    const T* const image =
        from.data() + b_ * from.stride(0) + chunk_ * from.stride(1) + head * from.stride(2);
#pragma unroll
    for (int i = threadIdx.x; i < kTiles * Shared::kTile / 8; i += kThreads) {
      gpu::copy_16_bytes(to + i * 8, image + i * 8);
    }
  }

  // Waits for the tiles of head i and sends those of i + 2 on their way.
  __device__ void begin(int i) const {
    gpu::await_copies<1>();
    gpu::show_to_tensor_cores();
    __syncthreads();
    if (i + 2 < heads_) load(i + 2);
    gpu::close_copies();
  }

  // The numbers of a lane's pair of columns of a tile.
  __device__ float2 pair(const T* tile, int half, int j) const {
    const int place = gpu::place_in_tile(row(half), j) + gpu::lane_column() * 2;
    return gpu::pair_of(reinterpret_cast<const T*>(reinterpret_cast<const char*>(tile) + place));
  }

  __device__ static const unsigned char* bytes(const T* tile) {
    return reinterpret_cast<const unsigned char*>(tile);
  }

  // Adds numbers of a lane's two rows up over a row's lanes.
  __device__ void put_rows(float (&numbers)[2], float* to) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = numbers[half];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (threadIdx.x % 4 == 0) to[row(half)] = sum;
    }
  }

  // Adds numbers of the columns of four tiles up over a warp's rows.
  __device__ static void put_columns(float (&numbers)[8], float* to) {
    gpu::add_lanes<8, 16, 4>(numbers);
    const int place = gpu::place_of_sum<8, 16, 4>();
    to[place / 2 * 8 + gpu::lane_column() + place % 2] = numbers[0];
  }

  __device__ void give_signals() {
    float products[8][4], pairs[8][4];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
#pragma unroll
      for (int k = 0; k < 4; ++k) pairs[j][k] = 0.0f;
    }
    for (int i = 0; i < heads_; ++i) {
      begin(i);
      if (i == 0) multiply_rows(products);
      float weighed[8][4], dx[8][4];
      const Stage& tiles = stage(i);
      gpu::begin_products();
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<Order::kAlongSum>(T(), gpu::shared_factor<Order::kAlongSum>(tiles.x, k),
                                        gpu::shared_factor<Order::kAlongSum>(tiles.dy, k),
                                        k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, weighed);
      }
      gpu::close_products();
#pragma unroll
      for (int k = 0; k < 4 * kTiles; ++k) {
        gpu::multiply<Order::kAlongSum>(
            T(), gpu::shared_factor<Order::kAlongSum>(shared_.B[k / 4], k % 4),
            gpu::shared_factor<Order::kAlongSum>(tiles.g[k / 4], k % 4),
            k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, dx);
      }
      gpu::close_products();
      gpu::await_products<1>(weighed);
      gpu::LeftFactor<T> weights[4];
      weigh(i, products, weighed, pairs, weights);
      gpu::await_products<0>(dx);
      decay_inputs(i, dx);
      gpu::begin_products();
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<Order::kAcrossSum>(
            weights[k], gpu::shared_factor<Order::kAcrossSum>(tiles.dy, k), gpu::Sum::kMore, dx);
      }
      gpu::close_products();
      gpu::await_products<0>(dx);
      finish_signals(i, dx);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      gpu::store_matrices(
          gpu::left_factor_of<T>(pairs[2 * k], pairs[2 * k + 1]),
          reinterpret_cast<unsigned char*>(shared_.results) + gpu::left_factor_place(down_, 2 * k));
    }
    __syncthreads();
  }

  // B C^T: rows are the steps that give.
  __device__ void multiply_rows(float (&products)[8][4]) const {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < 4 * kTiles; ++k) {
      gpu::multiply<Order::kAlongSum>(T(),
                                      gpu::shared_factor<Order::kAlongSum>(shared_.B[k / 4], k % 4),
                                      gpu::shared_factor<Order::kAlongSum>(shared_.C[k / 4], k % 4),
                                      k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, products);
    }
    gpu::close_products();
    gpu::await_products<0>(products);
  }

  // From x dy^T: the weights of B C^T, and what pairs of steps add to the sums.
  __device__ void weigh(int i, const float (&products)[8][4], const float (&xdy)[8][4],
                        float (&pairs)[8][4], gpu::LeftFactor<T> (&weights)[4]) const {
    const ChunkDecays<kHopperSteps>& by = steps(i).decays;
    const float from[2] = {by.sums[row(0)], by.sums[row(1)]};
    const float sizes[2] = {by.sizes[row(0)], by.sizes[row(1)]};
    const bool packed = by.last_start >= 0;
    float given[2] = {0.0f, 0.0f};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float taken[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) taken[j] = 0.0f;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int j = half * 4 + k;
        const int first = j / 2 * 16 - down_;  // the tile's first step beyond the warp's
        float weight[4] = {};
        if (first > 0 && !packed) {
          weigh_tile<false>(j, by, from, sizes, products[j], xdy[j], pairs[j], weight, given,
                            taken[2 * k], taken[2 * k + 1]);
        } else if (first >= 0) {
          weigh_tile<true>(j, by, from, sizes, products[j], xdy[j], pairs[j], weight, given,
                           taken[2 * k], taken[2 * k + 1]);
        }
        gpu::FactorPair<T>* const two = weights[j / 2].pairs + j % 2 * 2;
        two[0] = gpu::factor_pair(T(), make_float2(weight[0], weight[1]));
        two[1] = gpu::factor_pair(T(), make_float2(weight[2], weight[3]));
      }
      put_columns(taken, sums(i).rows[warp()] + half * 32);
    }
    given[0] *= sizes[0];
    given[1] *= sizes[1];
    put_rows(given, sums(i).columns[0]);
  }

  // The same of 16 steps that give and 8 that take. What a step gives itself is in both of its
  // sums, whose difference alone counts.
  template <bool kMasked>
  __device__ void weigh_tile(int j, const ChunkDecays<kHopperSteps>& by, const float (&from)[2],
                             const float (&sizes)[2], const float (&products)[4],
                             const float (&xdy)[4], float (&pairs)[4], float (&weight)[4],
                             float (&given)[2], float& first, float& second) const {
    const int t = j * 8 + gpu::lane_column();
    const float2 until = *reinterpret_cast<const float2*>(&by.sums[t]);
#pragma unroll
    for (int place = 0; place < 4; ++place) {
      const int half = place / 2, e = place % 2;
      float decay = gpu::exp2_fast((e == 0 ? until.x : until.y) - from[half]);
      if (kMasked && (row(half) > t + e || row(half) < by.first[t + e])) decay = 0.0f;
      weight[place] = decay * products[place];
      const float part = decay * xdy[place], both = part * products[place];
      pairs[place] = fmaf(sizes[half], part, pairs[place]);
      given[half] += both;
      float& taken = e == 0 ? first : second;
      taken = fmaf(sizes[half], both, taken);
    }
  }

  // What G gives, from B G.
  __device__ void decay_inputs(int i, float (&dx)[8][4]) const {
    const ChunkDecays<kHopperSteps>& by = steps(i).decays;
    float inputs[2] = {0.0f, 0.0f};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float decay = by.between(row(half), kHopperSteps - 1);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const float2 x = pair(stage(i).x, half, j);
        float* const two = dx[j] + 2 * half;
        // What is forgotten may be no number.
        two[0] = decay == 0.0f ? 0.0f : decay * two[0];
        two[1] = decay == 0.0f ? 0.0f : decay * two[1];
        inputs[half] += x.x * two[0] + x.y * two[1];
      }
    }
    put_rows(inputs, sums(i).inputs[0]);
  }

  // The skip; the sums over columns; and dx leaves.
  __device__ void finish_signals(int i, float (&dx)[8][4]) const {
    const float sizes[2] = {steps(i).decays.sizes[row(0)], steps(i).decays.sizes[row(1)]};
    const float* const skips = shared_.skips[i % Shared::kKept];
    const bool skipped = !launch_.args.in.D.absent();
    float signals[2] = {0.0f, 0.0f};
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      float taken[8];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int j = part * 4 + k;
        const float2 skip = *reinterpret_cast<const float2*>(skips + j * 8 + gpu::lane_column());
        taken[2 * k] = taken[2 * k + 1] = 0.0f;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float2 x = pair(stage(i).x, half, j), dy = pair(stage(i).dy, half, j);
          float* const two = dx[j] + 2 * half;
          signals[half] += x.x * two[0] + x.y * two[1];
          taken[2 * k] += dy.x * x.x;
          taken[2 * k + 1] += dy.y * x.y;
          two[0] = fmaf(sizes[half], two[0], skip.x * dy.x);
          two[1] = fmaf(sizes[half], two[1], skip.y * dy.y);
        }
      }
      if (skipped) put_columns(taken, sums(i).skips[warp()] + part * 32);
    }
    put_rows(signals, sums(i).signals[0]);
    store_signals(i, dx);
  }

  // A warp's rows leave through shared memory, 16 bytes at a time.
  __device__ void store_signals(int i, const float (&dx)[8][4]) const {
    auto* const results = reinterpret_cast<unsigned char*>(shared_.results);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      gpu::store_matrices(gpu::left_factor_of<T>(dx[2 * k], dx[2 * k + 1]),
                          results + gpu::left_factor_place(down_, 2 * k));
    }
    __syncwarp();
    const View<T, 4>& to = launch_.args.dx;
    T* const first =
        to.data() + b_ * to.stride(0) + t_ * to.stride(1) + (first_ + i) * to.stride(2);
    const int piece = threadIdx.x % 8;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int s = down_ + k * 4 + threadIdx.x % 32 / 8;
      if (s >= count_ || piece * 8 >= width_) continue;
      *reinterpret_cast<uint4*>(first + s * to.stride(1) + piece * 8) =
          *reinterpret_cast<const uint4*>(results + gpu::place_in_tile(s, piece));
    }
    __syncwarp();
  }

  // What the state before the chunk adds to dC.
  __device__ void give_reads() const {
    float dC[kTiles][8][4] = {};
    for (int i = 0; i < heads_; ++i) {
      begin(i);
      const float* const in = steps(i).decays.in;
      float reads[2] = {0.0f, 0.0f};
      multiply_by_state(stage(i).dy, stage(i).h, {in[row(0)], in[row(1)]}, dC,
                        [&](int part, int j, int half, float x, float y) {
                          const float2 C = pair(shared_.C[part], half, j);
                          reads[half] += C.x * x + C.y * y;
                        });
      put_rows(reads, sums(i).reads[0]);
    }
    __syncthreads();
    __syncthreads();
    gpu::LeftFactor<T> left[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      left[k] = factor([&](uint32_t(&bits)[4]) {
        gpu::load_transposed_matrices(
            bytes(shared_.results) + gpu::transposed_factor_place(16 * k, 2 * warp()), bits);
      });
    }
    add_pairs(left, shared_.B, dC);
    store_sums(1, launch_.args.dC, dC);
  }

  // What the adjoint behind the chunk adds to dB; and what remains for the head before.
  __device__ void give_inputs() const {
    float dB[kTiles][8][4] = {};
    for (int i = 0; i < heads_; ++i) {
      begin(i);
      const float* const out = steps(i).decays.out;
      multiply_by_state(stage(i).x, stage(i).g, {out[row(0)], out[row(1)]}, dB,
                        [](int, int, int, float, float) {});
      add_states(i);
      if (warp() == 0 && i > 0) finish(i - 1);
    }
    __syncthreads();
    if (warp() == 0) finish(heads_ - 1);
    __syncthreads();
    gpu::LeftFactor<T> left[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      left[k] = factor([&](uint32_t(&bits)[4]) {
        gpu::load_matrices(bytes(shared_.results) + gpu::left_factor_place(down_, 2 * k), bits);
      });
    }
    add_pairs(left, shared_.C, dB);
    store_sums(0, launch_.args.dB, dB);
  }

  template <typename Load>
  __device__ static gpu::LeftFactor<T> factor(Load&& load) {
    uint32_t bits[4];
    load(bits);
    return {{{bits[0]}, {bits[1]}, {bits[2]}, {bits[3]}}};
  }

  // Adds signals times a state, each step by its decay, to sums; visits what is added.
  struct RowWeights {
    float first, second;
  };
  template <typename Visit>
  __device__ void multiply_by_state(const T* signals, const T (&state)[kTiles][Shared::kTile],
                                    RowWeights by, float (&to)[kTiles][8][4], Visit&& visit) const {
#pragma unroll
    for (int part = 0; part < kTiles; ++part) {
      float whole[8][4];
      gpu::begin_products();
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<Order::kAcrossSum>(T(), gpu::shared_factor<Order::kAlongSum>(signals, k),
                                         gpu::shared_factor<Order::kAcrossSum>(state[part], k),
                                         k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, whole);
      }
      gpu::close_products();
      gpu::await_products<0>(whole);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          // What is forgotten may be no number.
          const float decay = half == 0 ? by.first : by.second;
          const float x = decay == 0.0f ? 0.0f : decay * whole[j][2 * half];
          const float y = decay == 0.0f ? 0.0f : decay * whole[j][2 * half + 1];
          to[part][j][2 * half] += x;
          to[part][j][2 * half + 1] += y;
          visit(part, j, half, x, y);
        }
      }
    }
  }

  // G times what is left of h behind the chunk.
  __device__ void add_states(int i) const {
    const float total = steps(i).decays.total;
    float sum = 0.0f;
    if (total != 0.0f) {
      const Stage& tiles = stage(i);
#pragma unroll 2
      for (int k = threadIdx.x % gpu::kWarpgroup; k < kTiles * Shared::kTile / 8;
           k += gpu::kWarpgroup) {
        const uint4 h = *reinterpret_cast<const uint4*>(tiles.h[0] + k * 8);
        const uint4 g = *reinterpret_cast<const uint4*>(tiles.g[0] + k * 8);
        sum += product(h.x, g.x) + product(h.y, g.y) + product(h.z, g.z) + product(h.w, g.w);
      }
    }
    sum = gpu::add_over_warp(sum);
    if (threadIdx.x % 32 == 0) sums(i).states[warp()] = total * sum;
  }

  __device__ static float product(uint32_t a, uint32_t b) {
    const float2 x = gpu::numbers_of(gpu::FactorPair<T>{a});
    const float2 y = gpu::numbers_of(gpu::FactorPair<T>{b});
    return x.x * y.x + x.y * y.y;
  }

  // What steps of the chunk give each other, of all heads at once.
  __device__ static void add_pairs(const gpu::LeftFactor<T> (&left)[4],
                                   const T (&rows)[kTiles][Shared::kTile],
                                   float (&to)[kTiles][8][4]) {
    gpu::begin_products();
#pragma unroll
    for (int part = 0; part < kTiles; ++part) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<Order::kAcrossSum>(left[k],
                                         gpu::shared_factor<Order::kAcrossSum>(rows[part], k),
                                         gpu::Sum::kMore, to[part]);
      }
    }
    gpu::close_products();
    gpu::await_products<0>();
#pragma unroll
    for (int part = 0; part < kTiles; ++part) gpu::settle(to[part]);
  }

  // The gradients of steps and skips of a head whose sums are there; a warp at a time.
  __device__ void finish(int i) const {
    const ChunkPlace at{.b = b_, .chunk = chunk_, .t = t_, .head = first_ + i};
    finish_skips(launch_, at, 0, width_, sums(i));
    finish_steps(launch_, at, count_, steps(i).decays, steps(i).raw, sums(i));
  }

  __device__ void store_sums(int which, const View<T, 4>& whole,
                             const float (&from)[kTiles][8][4]) const {
    const int state = static_cast<int>(whole.extent(3));
#pragma unroll
    for (int tile = 0; tile < kStates / 8; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t t = t_ + row(half);
        const int n = tile * 8 + gpu::lane_column();
        if (row(half) >= count_ || n >= state) continue;
        const float* const two = from[tile / 8][tile % 8] + 2 * half;
        if (launch_.splits > 1) {
          *reinterpret_cast<float2*>(&launch_.inputs(split_, b_, t, group_, which, n)) =
              make_float2(two[0], two[1]);
        } else {
          *reinterpret_cast<gpu::FactorPair<T>*>(&whole(b_, t, group_, n)) =
              gpu::factor_pair(T(), make_float2(two[0], two[1]));
        }
      }
    }
  }

  const SsdGradLaunch<T>& launch_;
  const View<StepsOfChunk, 3>& steps_;
  Shared& shared_;
  int64_t split_, group_, chunk_, b_, t_, first_;  // first head
  int heads_, count_, width_, down_;               // steps; columns; first row of the warp
};

template <typename T, int kStates>
__global__ void __launch_bounds__((HopperChunkGradient<T, kStates>::kThreads), 1)
    hopper_gradient_kernel(const __grid_constant__ SsdHopperGradLaunch<T> launch) {
  extern __shared__ __align__(1024) unsigned char bytes[];
  using Shared = HopperGradLayout<T, kStates>;
  HopperChunkGradient<T, kStates>(launch, *reinterpret_cast<Shared*>(bytes)).run();
}

}  // namespace longwave::ops::ssd_cuda_kernels
