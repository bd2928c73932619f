// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_warpgroup_memory_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// A warpgroup that marches through the chunks of a head:
///
///   y^T = decay h C^T + x^T weights^T + D x^T
///   h = decay h + x^T (d decay) B
///
/// h and y^T are spread over registers, 16 rows of head_dim a warp; h is at once the left factor
/// of its product.
template <typename T, int kStates, SsdMarch kMarch>
class WarpgroupStates {
 public:
  using Memory = WarpgroupMemory<kStates>;

  __device__ WarpgroupStates(const SsdMarchLaunch<T>& launch, const WarpgroupPlace& place, int head,
                             Memory& memory)
      : launch_(launch),
        place_(place),
        head_(place.head + head),
        rows_(memory.rows),
        own_(memory.heads[head]) {
    const View<const float, 2>& D = launch.in.D;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int p = place.column + warpgroup_row() + i * 8;
      const bool there = !D.absent() && p < launch.in.x.extent(3);
      skips_[i] = there ? D(head_, D.extent(1) == 1 ? 0 : p) : 0.0f;
    }
  }

  __device__ void run() {
    load();
#pragma unroll 1
    for (int i = 0; i < place_.chunks; ++i) {
      if constexpr (kMarch == SsdMarch::kOutputs) {
        put_out(i);
      } else {
        go(i);
      }
    }
    store();
  }

 private:
  static constexpr int kParts = kStates / 64, kFactors = kWarpgroupSteps / 16;
  using Inputs = gpu::LeftFactor<T>[kFactors];
  using Outputs = float[8][4];

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32 % 4; }

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
          const int64_t p = place_.column + warpgroup_row() + i / 2 * 8;
          const int64_t n = part * 64 + tile * 8 + gpu::lane_column() + i % 2;
          if (p < head_dim && n < state) visit(p, n, state_[part][tile][i]);
        }
      }
    }
  }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < kParts * 32; ++i) state_[i / 32][i / 4 % 8][i % 4] = 0.0f;
    if (kMarch == SsdMarch::kEnds) return;
    if (launch_.plan.segments > 1) {
      each_number([&](int64_t p, int64_t n, float& number) {
        number = launch_.ends(place_.b, place_.segment, head_, p, n);
      });
    } else if (!launch_.from.absent()) {
      each_number([&](int64_t p, int64_t n, float& number) {
        number = launch_.from(place_.b, head_, p, n);
      });
    }
  }

  __device__ void store() {
    if (kMarch == SsdMarch::kEnds) {
      each_number([&](int64_t p, int64_t n, float& number) {
        launch_.ends(place_.b, place_.segment, head_, p, n) = number;
      });
      if (place_.column == 0 && threadIdx.x % gpu::kWarpgroup == 0) {
        launch_.totals(place_.b, place_.segment, head_) = static_cast<float>(total_);
      }
    } else if (place_.segment == launch_.plan.segments - 1) {
      each_number(
          [&](int64_t p, int64_t n, float& number) { launch_.to(place_.b, head_, p, n) = number; });
    }
  }

  __device__ void decay(float by) {
#pragma unroll
    for (int i = 0; i < kParts * 32; ++i) state_[i / 32][i / 4 % 8][i % 4] *= by;
  }

  // Through a chunk, with its outputs.
  __device__ void put_out(int i) {
    Outputs y;
    Inputs x, scaled;
    own_.decays.await(i);
    const WarpgroupDecays& by = own_.decays.at(i);
    rows_.await(i);
    begin_reading(i, y);
    load_inputs(i, x);
    decay(by.total);
    scale(by, x, scaled);
    gpu::await_products<0>(y);
    decay_outputs(by, y);
    add_skip(x, y);
    own_.weights.await(i);
    add_inputs(i, x, y);
    advance(i, by, scaled);
    gpu::await_products<1>(y);
    own_.weights.let_go(i);
    collect_outputs(i, y);
    gpu::await_products(state_);
    own_.decays.let_go(i);
    rows_.let_go(i);
  }

  // Through a chunk.
  __device__ void go(int i) {
    Inputs x;
    own_.decays.await(i);
    const WarpgroupDecays& by = own_.decays.at(i);
    total_ += by.last_start < 0 ? by.sums[kWarpgroupSteps - 1] : -INFINITY;
    load_inputs(i, x);
    own_.signals.let_go(i);
    decay(by.total);
    scale(by, x, x);
    rows_.await(i);
    advance(i, by, x);
    gpu::await_products(state_);
    own_.decays.let_go(i);
    rows_.let_go(i);
  }

  // Begins with what the state before the chunk gives to its steps.
  __device__ void begin_reading(int i, Outputs& y) const {
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
            state[k], gpu::shared_factor<gpu::TileOrder::kAlongSum>(rows_.at(i).C[part], k),
            part + k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, y);
      }
      gpu::close_products();
    }
  }

  // Of the state before the chunk each step has what is left.
  __device__ static void decay_outputs(const WarpgroupDecays& by, Outputs& y) {
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
  __device__ void load_inputs(int i, Inputs& x) const {
    own_.signals.await(i);
#pragma unroll
    for (int k = 0; k < kFactors; ++k) {
      x[k] = gpu::load_transposed_factor<T>(own_.signals.at(i), k * 16, warp() * 2);
    }
  }

  // Begins with what the chunk's steps give each other.
  __device__ void add_inputs(int i, const Inputs& x, Outputs& y) const {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kFactors; ++k) {
      gpu::multiply<gpu::TileOrder::kAlongSum>(
          x[k], gpu::shared_factor<gpu::TileOrder::kAlongSum>(own_.weights.at(i), k),
          gpu::Sum::kMore, y);
    }
    gpu::close_products();
  }

  __device__ void add_skip(const Inputs& x, Outputs& y) const {
#pragma unroll
    for (int k = 0; k < kFactors; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 two = gpu::numbers_of(x[k].pairs[j]);
        float* const to = y[2 * k + j / 2] + j % 2 * 2;
        to[0] = fmaf(skips_[j % 2], two.x, to[0]);
        to[1] = fmaf(skips_[j % 2], two.y, to[1]);
      }
    }
  }

  // What inputs add to the state behind the chunk.
  __device__ static void scale(const WarpgroupDecays& by, const Inputs& x, Inputs& scaled) {
#pragma unroll
    for (int k = 0; k < kFactors; ++k) {
      gpu::LeftFactor<T> factor = x[k];
      gpu::scale_columns(by.out + k * 16, factor);
      scaled[k] = factor;
    }
  }

  // Begins with what the chunk adds to the decayed state.
  __device__ void advance(int i, const WarpgroupDecays& by, const Inputs& x) {
    // What is forgotten may be no number.
    const gpu::Sum so_far = by.total == 0.0f ? gpu::Sum::kNew : gpu::Sum::kMore;
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kFactors; ++k) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        gpu::multiply<gpu::TileOrder::kAcrossSum>(
            x[k], gpu::shared_factor<gpu::TileOrder::kAcrossSum>(rows_.at(i).B[part], k),
            k == 0 ? so_far : gpu::Sum::kMore, state_[part]);
      }
    }
    gpu::close_products();
  }

  // In the tile of the inputs, of which each warp has read just what it writes.
  __device__ void collect_outputs(int i, const Outputs& y) const {
    __syncwarp();
#pragma unroll
    for (int k = 0; k < kFactors; ++k) {
      gpu::store_transposed_matrices(
          gpu::left_factor_of<T>(y[2 * k], y[2 * k + 1]),
          own_.signals.at(i) + gpu::transposed_factor_place(k * 16, warp() * 2));
    }
    gpu::show_to_async_proxy();
    own_.signals.let_go(i);
  }

  const SsdMarchLaunch<T>& launch_;
  const WarpgroupPlace& place_;
  const int head_;
  decltype(Memory::rows)& rows_;
  typename Memory::Head& own_;
  float skips_[2];    // of the lane's rows of head_dim
  double total_ = 0;  // log2 of the decay of kEnds
  float state_[kParts][8][4];
};

}  // namespace longwave::ops::ssd_cuda_kernels
