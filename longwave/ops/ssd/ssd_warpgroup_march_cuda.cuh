// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_warpgroup_tiles_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_weights_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Marches forwards through the chunks of a segment on Hopper's tensor cores, a head a block:
///
///   products   C B^T of the chunk, to registers
///   weights    products with decays and step sizes, to shared memory
///   y^T        decay h C^T + x^T weights^T + D x^T
///   h          decay h + x^T (d decay) B
///
/// h and y^T are spread over registers, 16 rows of head_dim a warp; h is at once the left factor
/// of its product. While a chunk is worked on the next is on its way: x to the other stage; B and C
/// too with two blocks a multiprocessor, with three to the place of this chunk's, as soon as they
/// are used up.
template <typename T, int kStates, SsdMarch kMarch, int kBlocks>
class WarpgroupMarch {
 public:
  using Tiles = WarpgroupTiles<T, kStates, kMarch, kBlocks>;

  __device__ WarpgroupMarch(const SsdWarpgroupLaunch<T>& from, const WarpgroupPlace& place,
                            unsigned char* shared)
      : launch_(from.march),
        column_(place.column),
        segment_(place.segment),
        b_(place.b),
        head_(place.head),
        tiles_(from, {column_, head_, begin(), b_},
               {0, static_cast<int>(head_ / from.march.share), begin(), b_}, shared) {
    const SsdMarchLaunch<T>& launch = launch_;
    const bool last = segment_ + 1 == launch.plan.segments;
    const int64_t steps = last ? launch.in.x.extent(1) - begin() : launch.plan.segment_steps;
    chunks_ = static_cast<int>((steps + kSteps - 1) / kSteps);
    rest_ = static_cast<int>(steps - int64_t{chunks_ - 1} * kSteps);
    if (kMarch == SsdMarch::kOutputs) {
      const View<T, 4>& y = launch.y;
      outputs_ = y.data() + b_ * y.stride(0) + (int64_t{begin()} + thread() / 8) * y.stride(1) +
                 head_ * y.stride(2) + column_ + thread() % 8 * 8;
    }
    const View<const float, 2>& D = launch.in.D;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int p = column_ + row() + i * 8;
      const bool there = !D.absent() && p < launch.in.x.extent(3);
      skips_[i] = there ? D(head_, D.extent(1) == 1 ? 0 : p) : 0.0f;
    }
  }

  __device__ void run() {
    if (thread() == 0) tiles_.open();
    load_state();
    if (kMarch == SsdMarch::kOutputs) clear_weights(tiles_.weights());
    read_steps_of(0);
    find_decays_of(0);
    __syncthreads();
    if (thread() == 0 && chunks_ > 0) {
      tiles_.send_for_signals(0);
      tiles_.send_for_rows(0);
      if (kMarch == SsdMarch::kOutputs) tiles_.send_for_reads(0);
    }
#pragma unroll 1
    for (int i = 0; i < chunks_; ++i) {
      // All are done with the tiles of the chunk before, and its decays are there.
      __syncthreads();
      if (thread() == 0 && i + 1 < chunks_) {
        tiles_.send_for_signals(i + 1);
        if (kStages == 2) tiles_.send_for_rows(i + 1);
        if (kStages == 2 && kMarch == SsdMarch::kOutputs) tiles_.send_for_reads(i + 1);
      }
      if (i % kDecaysAtOnce == 0) read_steps_of(i + kDecaysAtOnce);
      work(i);
      if (i % kDecaysAtOnce == kDecaysAtOnce - 1) find_decays_of(i + 1);
    }
    finish();
  }

 private:
  static constexpr int kSteps = kWarpgroupSteps, kParts = Tiles::kParts, kStages = Tiles::kStages;
  static_assert(kSteps == kSsdCudaChunk<T>);
  static constexpr int kEach = RawSteps<kSteps>::kEach;
  // Steps of whose outputs the block writes some at once.
  static constexpr int kStepsAtOnce = gpu::kWarpgroup / 8;

  __device__ static int thread() { return static_cast<int>(threadIdx.x); }
  __device__ static int warp() { return thread() / 32; }
  // The first row of head_dim that the lane holds.
  __device__ static int row() { return warpgroup_row(); }

  __device__ int begin() const { return static_cast<int>(segment_ * launch_.plan.segment_steps); }
  __device__ int steps_at(int i) const { return i + 1 < chunks_ ? kSteps : rest_; }

  // Of the chunks from i on, each warp sees to one. What it reads stays as it came until it is
  // wanted, so that nothing waits for it.
  __device__ void read_steps_of(int i) {
    i += warp();
    if (i >= chunks_) return;
    const SsdCudaInputs<T>& in = launch_.in;
    const int64_t t = int64_t{begin()} + int64_t{i} * kSteps;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int step = thread() % 32 * kEach + j;
      if (step >= steps_at(i)) break;
      sizes_[j] = in.dt(b_, t + step, head_);
      if (!in.starts.absent()) starts_[j] = in.starts(b_, t + step);
    }
  }
  __device__ void find_decays_of(int i) {
    i += warp();
    if (i >= chunks_) return;
    WarpgroupDecays& to = tiles_.decays(i);
    const int first = thread() % 32 * kEach, count = steps_at(i);
    RawSteps<kSteps> raw;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      raw.dt[j] = gpu::widen(sizes_[j]);
      raw.start[j] = first + j < count && starts_[j] != 0;
    }
    total_ += find_decays(launch_.in, raw, count, head_, to);
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      to.from[first + j] = to.sums[first + j] - gpu::log2_fast(to.sizes[first + j]);
    }
  }

  // Calls visit(p, n, number) for the lane's numbers of the state that are there.
  template <typename Visit>
  __device__ void each_number(Visit&& visit) {
    const int64_t head_dim = launch_.in.x.extent(3), state = launch_.in.B.extent(3);
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
#pragma unroll
      for (int tile = 0; tile < 8; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int64_t p = column_ + row() + i / 2 * 8;
          const int64_t n = part * 64 + tile * 8 + gpu::lane_column() + i % 2;
          if (p < head_dim && n < state) visit(p, n, state_[part][tile][i]);
        }
      }
    }
  }

  __device__ void load_state() {
    forget_state();
    if (kMarch == SsdMarch::kEnds) return;
    if (launch_.plan.segments > 1) {
      each_number([&](int64_t p, int64_t n, float& number) {
        number = launch_.ends(b_, segment_, head_, p, n);
      });
    } else if (!launch_.from.absent()) {
      each_number(
          [&](int64_t p, int64_t n, float& number) { number = launch_.from(b_, head_, p, n); });
    }
  }

  __device__ void forget_state() {
#pragma unroll
    for (int i = 0; i < kParts * 32; ++i) state_[i / 32][i / 4 % 8][i % 4] = 0.0f;
  }

  __device__ void decay_state(float by) {
#pragma unroll
    for (int i = 0; i < kParts * 32; ++i) state_[i / 32][i / 4 % 8][i % 4] *= by;
  }

  __device__ void work(int i) {
    const WarpgroupDecays& by = tiles_.decays(i);
    gpu::LeftFactor<T> inputs[kSteps / 16];
    tiles_.await_rows(i);
    if constexpr (kMarch == SsdMarch::kOutputs) {
      float y[8][4];
      tiles_.await_reads(i);
      multiply_rows(i, by);
      read_state(i, by, y);
      load_inputs(i, inputs);
      // All weights are there, and the last reads are done.
      __syncthreads();
      if (kStages == 1 && thread() == 0 && i + 1 < chunks_) tiles_.send_for_reads(i + 1);
      add_inputs(inputs, y);
      decay_state(by.total);
      gpu::await_products<0>(y);
      add_skip(inputs, y);
      advance(i, by, inputs);
      collect_outputs(i, y);
      gpu::await_products(state_);
      __syncthreads();
      if (kStages == 1 && thread() == 0 && i + 1 < chunks_) tiles_.send_for_rows(i + 1);
      write_outputs(i);
    } else {
      load_inputs(i, inputs);
      decay_state(by.total);
      advance(i, by, inputs);
      gpu::await_products(state_);
    }
  }

  // C B^T of the chunk, as weights.
  __device__ void multiply_rows(int i, const WarpgroupDecays& by) const {
    float products[8][4];
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kStates / 16; ++k) {
      gpu::multiply<gpu::TileOrder::kAlongSum>(
          T(), gpu::shared_factor<gpu::TileOrder::kAlongSum>(tiles_.reads(i, k / 4), k % 4),
          gpu::shared_factor<gpu::TileOrder::kAlongSum>(tiles_.rows(i, k / 4), k % 4),
          k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, products);
    }
    gpu::close_products();
    gpu::await_products<0>(products);
    weigh<T>(by, products, tiles_.weights());
  }

  // What the state before the chunk gives to its steps.
  __device__ void read_state(int i, const WarpgroupDecays& by, float (&y)[8][4]) const {
    // One part after the other: both would take too many registers.
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      gpu::LeftFactor<T> state[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        state[k] = gpu::left_factor_of<T>(state_[part][2 * k], state_[part][2 * k + 1]);
      }
      gpu::begin_products();
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        gpu::multiply<gpu::TileOrder::kAlongSum>(
            state[k], gpu::shared_factor<gpu::TileOrder::kAlongSum>(tiles_.reads(i, part), k),
            part + k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, y);
      }
      gpu::close_products();
      gpu::await_products<0>(y);
    }
    float2 decays[8];
#pragma unroll
    for (int tile = 0; tile < 8; ++tile) {
      decays[tile] = *reinterpret_cast<const float2*>(&by.in[tile * 8 + gpu::lane_column()]);
#pragma unroll
      for (int j = 0; j < 4; ++j) y[tile][j] *= j % 2 == 0 ? decays[tile].x : decays[tile].y;
    }
    // If any step forgets the state before the chunk, so does the last; and that may be no number.
    if (by.total > 0.0f) return;
#pragma unroll
    for (int tile = 0; tile < 8; ++tile) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if ((j % 2 == 0 ? decays[tile].x : decays[tile].y) == 0.0f) y[tile][j] = 0.0f;
      }
    }
  }

  // x^T of the chunk, the warp's rows.
  __device__ void load_inputs(int i, gpu::LeftFactor<T> (&inputs)[kSteps / 16]) const {
    tiles_.await_signals(i);
#pragma unroll
    for (int k = 0; k < kSteps / 16; ++k) {
      inputs[k] = gpu::load_transposed_factor<T>(tiles_.signals(i), k * 16, warp() * 2);
    }
  }

  // Begins with what the chunk's steps give each other.
  __device__ void add_inputs(const gpu::LeftFactor<T> (&inputs)[kSteps / 16],
                             float (&y)[8][4]) const {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kSteps / 16; ++k) {
      gpu::multiply<gpu::TileOrder::kAlongSum>(
          inputs[k], gpu::shared_factor<gpu::TileOrder::kAlongSum>(tiles_.weights(), k),
          gpu::Sum::kMore, y);
    }
    gpu::close_products();
  }

  // Begins with what the chunk adds to the decayed state.
  __device__ void advance(int i, const WarpgroupDecays& by,
                          gpu::LeftFactor<T> (&inputs)[kSteps / 16]) {
#pragma unroll
    for (int k = 0; k < kSteps / 16; ++k) gpu::scale_columns(by.out + k * 16, inputs[k]);
    // What is forgotten may be no number.
    const gpu::Sum so_far = by.total == 0.0f ? gpu::Sum::kNew : gpu::Sum::kMore;
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kSteps / 16; ++k) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        gpu::multiply<gpu::TileOrder::kAcrossSum>(
            inputs[k], gpu::shared_factor<gpu::TileOrder::kAcrossSum>(tiles_.rows(i, part), k),
            k == 0 ? so_far : gpu::Sum::kMore, state_[part]);
      }
    }
    gpu::close_products();
  }

  __device__ void add_skip(const gpu::LeftFactor<T> (&inputs)[kSteps / 16],
                           float (&y)[8][4]) const {
#pragma unroll
    for (int k = 0; k < kSteps / 16; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 x = gpu::numbers_of(inputs[k].pairs[j]);
        float* const two = y[2 * k + j / 2] + j % 2 * 2;
        two[0] = fmaf(skips_[j % 2], x.x, two[0]);
        two[1] = fmaf(skips_[j % 2], x.y, two[1]);
      }
    }
  }

  // In the tile of the inputs, of which each warp has read just what it writes, so that whole rows
  // leave together.
  __device__ void collect_outputs(int i, const float (&y)[8][4]) const {
    __syncwarp();
#pragma unroll
    for (int k = 0; k < kSteps / 16; ++k) {
      gpu::store_transposed_matrices(
          gpu::left_factor_of<T>(y[2 * k], y[2 * k + 1]),
          tiles_.signals(i) + gpu::transposed_factor_place(k * 16, warp() * 2));
    }
    // Nor may the inputs of a later chunk come before what is written here.
    gpu::show_to_async_proxy();
  }

  __device__ void write_outputs(int i) {
    const int count = column_ + thread() % 8 * 8 < launch_.y.extent(3) ? steps_at(i) : 0;
    const unsigned char* const from =
        tiles_.signals(i) + gpu::place_in_tile(thread() / 8, thread() % 8);
    constexpr int kPieces = kSteps / kStepsAtOnce;
    uint4 pieces[kPieces];
#pragma unroll
    for (int j = 0; j < kPieces; ++j) {
      pieces[j] = *reinterpret_cast<const uint4*>(from + j * kStepsAtOnce * gpu::kTileRowBytes);
    }
    T* at = outputs_;
#pragma unroll
    for (int j = 0; j < kPieces; ++j, at += kStepsAtOnce * launch_.y.stride(1)) {
      if (thread() / 8 + j * kStepsAtOnce < count) gpu::write_16_bytes(at, pieces[j]);
    }
    outputs_ += kSteps * launch_.y.stride(1);
  }

  __device__ void finish() {
    if (kMarch == SsdMarch::kEnds) {
      each_number([&](int64_t p, int64_t n, float& number) {
        launch_.ends(b_, segment_, head_, p, n) = number;
      });
      add_totals();
    } else if (segment_ == launch_.plan.segments - 1) {
      each_number(
          [&](int64_t p, int64_t n, float& number) { launch_.to(b_, head_, p, n) = number; });
    }
  }

  // Each warp knows the decay of its chunks.
  __device__ void add_totals() const {
    double* const totals = reinterpret_cast<double*>(tiles_.signals(0));
    __syncthreads();
    if (thread() % 32 == 0) totals[warp()] = total_;
    __syncthreads();
    if (column_ != 0 || thread() != 0) return;
    double sum = 0;
    for (int i = 0; i < kDecaysAtOnce; ++i) sum += totals[i];
    launch_.totals(b_, segment_, head_) = static_cast<float>(sum);
  }

  const SsdMarchLaunch<T>& launch_;
  int column_, segment_, b_, head_;
  Tiles tiles_;
  int chunks_, rest_;  // of the segment, and steps of the last chunk
  T* outputs_;         // the first piece of the next chunk that the thread writes
  float skips_[2];     // of the lane's rows of head_dim
  double total_ = 0;
  // Of the next chunk that the warp finds decays of, before bias and softplus.
  T sizes_[kEach];
  uint8_t starts_[kEach] = {};
  float state_[kParts][8][4];
};

template <typename T, int kStates, SsdMarch kMarch, int kBlocks>
__global__ void __launch_bounds__(gpu::kWarpgroup, kBlocks)
    warpgroup_march_kernel(const __grid_constant__ SsdWarpgroupLaunch<T> launch) {
  extern __shared__ unsigned char bytes[];
  // By shared_address nvcc would order the instructions of the whole kernel otherwise.
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(bytes));
  using March = WarpgroupMarch<T, kStates, kMarch, kBlocks>;
  March(launch, warpgroup_place<kMarch>(launch.march), bytes + (1024 - shared % 1024) % 1024).run();
}

}  // namespace longwave::ops::ssd_cuda_kernels
