// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/ssd/ssd_decay_cuda.cuh"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops::ssd_cuda_kernels {

inline constexpr int kStepThreads = 128;  // of a block, at most
inline constexpr int kStepRows = 4;       // of a state, that a thread has a part of

/// Scans of one step.
template <typename T>
struct SsdStepLaunch {
  SsdCudaArgs<T> args;
  unsigned tiles;  // blocks side by side of a head
  int lanes;       // of a row of the state: a power of two within a warp
};

/// A thread's packs of kPack states of kStepRows rows of a head's state. All that it needs is asked
/// for before anything is computed, even widened.
template <typename T, int kPack>
class Step {
 public:
  __device__ explicit Step(const SsdStepLaunch<T>& launch) : launch_(launch) {
    const SsdCudaInputs<T>& in = launch.args.in;
    const unsigned heads = static_cast<unsigned>(in.x.extent(2)), rest = blockIdx.x / launch.tiles;
    const int rows = static_cast<int>(blockDim.x) / launch.lanes * kStepRows;
    head_ = rest % heads;
    b_ = rest / heads;
    group_ = static_cast<unsigned>(head_) / (heads / static_cast<unsigned>(in.B.extent(2)));
    first_ = int64_t{blockIdx.x % launch.tiles} * rows +
             static_cast<int>(threadIdx.x) / launch.lanes * kStepRows;
    lane_ = static_cast<int>(threadIdx.x) % launch.lanes;
  }

  __device__ void run() {
    const SsdCudaInputs<T>& in = launch_.args.in;
    const int64_t state = in.B.extent(3);
    T x_stored[kStepRows];
    Operands operands;
    int64_t n = lane_ * kPack;
    if (n < state) load(n, operands);
    each([&](int i, int64_t p) { x_stored[i] = in.x(b_, 0, head_, p); });
    const float bias = in.dt_bias.absent() ? 0.0f : in.dt_bias(head_);
    const float size = step_size(in, gpu::widen(in.dt(b_, 0, head_)) + bias);
    const bool start = !in.starts.absent() && in.starts(b_, 0) != 0;
    const double rate = static_cast<double>(in.A(head_)) * 1.44269504088896340736;
    const float decay = start ? 0.0f : gpu::exp2_fast(static_cast<float>(size * rate));
    float x[kStepRows], y[kStepRows]{};
#pragma unroll
    for (int i = 0; i < kStepRows; ++i) x[i] = gpu::widen(x_stored[i]);
    while (n < state) {
      each([&](int i, int64_t p) { advance(operands, i, p, n, decay, size * x[i], y[i]); });
      n += launch_.lanes * kPack;
      if (n < state) load(n, operands);
    }
    for (int mask = launch_.lanes / 2; mask > 0; mask /= 2) {
#pragma unroll
      for (float& sum : y) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    }
    if (lane_ != 0) return;
    each([&](int i, int64_t p) {
      const float skip = in.D.absent() ? 0.0f : in.D(head_, in.D.extent(1) == 1 ? 0 : p);
      if (first_ + i < in.x.extent(3)) {
        gpu::narrow(fmaf(skip, x[i], y[i]), launch_.args.y(b_, 0, head_, p));
      }
    });
  }

 private:
  using Pack = gpu::Pack<kPack>;
  struct Operands {
    Pack h[kStepRows];
    gpu::StoredPack<T, kPack> B, C;
  };

  // body(i, row); beyond the last that one again, of which nothing is written.
  template <typename Body>
  __device__ void each(const Body& body) const {
#pragma unroll
    for (int i = 0; i < kStepRows; ++i) body(i, min(first_ + i, launch_.args.in.x.extent(3) - 1));
  }

  // States of packs of more than one are adjacent.
  template <typename Number, typename... Index>
  __device__ static Number* at(const View<Number, 4>& x, int64_t n, Index... index) {
    return &x(index..., int64_t{0}) + (kPack == 1 ? n * x.stride(3) : n);
  }

  __device__ void load(int64_t n, Operands& to) const {
    const SsdCudaArgs<T>& args = launch_.args;
    each([&](int i, int64_t p) { to.h[i] = gpu::load_pack<kPack>(at(args.h, n, b_, head_, p)); });
    to.B = gpu::load_stored<kPack>(at(args.in.B, n, b_, int64_t{0}, group_));
    to.C = gpu::load_stored<kPack>(at(args.in.C, n, b_, int64_t{0}, group_));
  }

  __device__ void advance(const Operands& of, int i, int64_t p, int64_t n, float decay, float input,
                          float& y) const {
    const Pack B = gpu::widen(of.B), C = gpu::widen(of.C);
    Pack h;
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      // What is forgotten may be no number.
      const float left = decay == 0.0f ? 0.0f : decay * of.h[i].v[k];
      h.v[k] = fmaf(input, B.v[k], left);
      y = fmaf(C.v[k], h.v[k], y);
    }
    if (first_ + i < launch_.args.in.x.extent(3)) {
      gpu::store_pack(h, at(launch_.args.h, n, b_, head_, p));
    }
  }

  const SsdStepLaunch<T>& launch_;
  int64_t b_, head_, group_, first_;  // first_: of the rows
  int lane_;
};

template <typename T, int kPack>
__global__ void __launch_bounds__(kStepThreads)
    step_kernel(const __grid_constant__ SsdStepLaunch<T> launch) {
  Step<T, kPack>(launch).run();
}

/// Queues a scan of one step.
template <typename T>
void launch_step(const SsdCudaArgs<T>& args, cudaStream_t stream) {
  constexpr int kWide = 4;  // states of a pack
  const int64_t heads = args.in.x.extent(2), head_dim = args.in.x.extent(3);
  const int64_t state = args.in.B.extent(3);
  const auto launch = [&]<int kPack>(std::integral_constant<int, kPack>) {
    const int lanes = gpu::lanes_for(state, kPack);
    const int64_t wanted = (head_dim + kStepRows - 1) / kStepRows * lanes;
    const int threads = static_cast<int>(std::min<int64_t>(kStepThreads, (wanted + 31) / 32 * 32));
    const int64_t rows = threads / lanes * kStepRows, tiles = (head_dim + rows - 1) / rows;
    step_kernel<T, kPack>
        <<<gpu::blocks_for(args.in.x.extent(0) * heads * tiles, 1, kWhere), threads, 0, stream>>>(
            SsdStepLaunch<T>{args, static_cast<unsigned>(tiles), lanes});
  };
  if (gpu::in_pieces(args.h, state, kWide * sizeof(float)) &&
      gpu::in_pieces(args.in.B, state, kWide * sizeof(T)) &&
      gpu::in_pieces(args.in.C, state, kWide * sizeof(T))) {
    launch(std::integral_constant<int, kWide>());
  } else {
    launch(std::integral_constant<int, 1>());
  }
  gpu::require_device(cudaGetLastError(), kWhere);
}

}  // namespace longwave::ops::ssd_cuda_kernels
