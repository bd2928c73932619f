// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"

namespace longwave::ops {
namespace selective_cuda {

/// Scans of one step.
template <typename T>
struct SelectiveStepLaunch {
  SelectiveScanCudaArgs<T> args;
  int64_t group_channels;
  unsigned tiles;  // blocks side by side of a group
  int lanes;       // of a channel: a power of two within a warp
};

/// A thread's packs of kPack states of a channel, of kSequences sequences at once. All that it
/// needs is asked for before anything is computed, even widened.
template <typename T, int kPack, int kSequences>
class Step {
 public:
  __device__ explicit Step(const SelectiveStepLaunch<T>& launch) : launch_(launch) {
    const SelectiveScanCudaInputs<T>& in = launch.args.in;
    const unsigned tile = blockIdx.x % launch.tiles, rest = blockIdx.x / launch.tiles;
    const unsigned groups = static_cast<unsigned>(in.B.extent(2)), thread = threadIdx.x;
    const int64_t channel =
        int64_t{tile} * (kSelectiveThreads / launch.lanes) + thread / launch.lanes;
    group_ = rest % groups;
    const bool there = channel < launch.group_channels;
    c_ = group_ * launch.group_channels + (there ? channel : 0);
    b_ = int64_t{rest / groups} * kSequences;
    lane_ = static_cast<int>(thread) % launch.lanes;
    const int64_t left = in.u.extent(0) - b_;
#pragma unroll
    for (int i = 0; i < kSequences; ++i) {
      is_there_[i] = i < left;
      writes_[i] = there && is_there_[i];
    }
  }

  __device__ void run() {
    const SelectiveScanCudaInputs<T>& in = launch_.args.in;
    const int64_t state = in.A.extent(1);
    const int stride = launch_.lanes * kPack;
    T u_stored[kSequences], dt[kSequences], z[kSequences];
    bool starts[kSequences]{};
    Operands operands;
    int64_t n = lane_ * kPack;
    if (n < state) load(n, operands);
    each([&](int i) { u_stored[i] = *at(in.u, i, 0, c_); });
    each([&](int i) { dt[i] = *at(in.dt, i, 0, c_); });
    if (!in.z.absent()) each([&](int i) { z[i] = *at(in.z, i, 0, c_); });
    if (!in.starts.absent()) each([&](int i) { starts[i] = *at(in.starts, i, 0) != 0; });
    const float skip = in.D.absent() ? 0.0f : in.D(c_);
    const float bias = in.dt_bias.absent() ? 0.0f : in.dt_bias(c_);
    float u[kSequences], s[kSequences], y[kSequences]{};
    each([&](int i) {
      u[i] = gpu::widen(u_stored[i]);
      s[i] = gpu::widen(dt[i]) + bias;
      if (in.step_size == StepSize::kSoftplus) s[i] = gpu::softplus(s[i]);
    });
    while (n < state) {
      each([&](int i) { advance(operands, i, n, s[i], s[i] * u[i], starts[i], y[i]); });
      n += stride;
      if (n < state) load(n, operands);
    }
    for (int mask = launch_.lanes / 2; mask > 0; mask /= 2) {
      each([&](int i) { y[i] += __shfl_xor_sync(0xffffffffu, y[i], mask); });
    }
    if (lane_ != 0) return;
    each([&](int i) {
      float out = fmaf(skip, u[i], y[i]);
      if (!in.z.absent()) out *= gpu::silu(gpu::widen(z[i]));
      if (writes_[i]) gpu::narrow(out, *at(launch_.args.y, i, 0, c_));
    });
  }

 private:
  using Pack = gpu::Pack<kPack>;
  struct Operands {
    Pack A, h[kSequences];
    gpu::StoredPack<T, kPack> B[kSequences], C[kSequences];
  };

  template <typename Body>
  __device__ static void each(const Body& body) {
#pragma unroll
    for (int i = 0; i < kSequences; ++i) body(i);
  }

  // In the i-th sequence; beyond the last, where nothing is written, in the first.
  template <typename Number, int kRank, typename... Index>
  __device__ Number* at(const View<Number, kRank>& x, int i, Index... index) const {
    return &x(b_, index...) + (is_there_[i] ? i * x.stride(0) : 0);
  }

  // States of packs of more than one are adjacent.
  template <typename Number, int kRank>
  __device__ static int64_t offset(const View<Number, kRank>& x, int64_t n) {
    return kPack == 1 ? n * x.stride(kRank - 1) : n;
  }

  __device__ void load(int64_t n, Operands& to) const {
    const SelectiveScanCudaArgs<T>& args = launch_.args;
    const auto pack = [n](const auto& x, const auto* first) {
      return gpu::load_stored<kPack>(first + offset(x, n));
    };
    each([&](int i) { to.h[i] = gpu::widen(pack(args.h, at(args.h, i, c_, 0))); });
    each([&](int i) { to.B[i] = pack(args.in.B, at(args.in.B, i, 0, group_, 0)); });
    each([&](int i) { to.C[i] = pack(args.in.C, at(args.in.C, i, 0, group_, 0)); });
    to.A = gpu::widen(pack(args.in.A, &args.in.A(c_, 0)));
  }

  __device__ void advance(const Operands& of, int i, int64_t n, float s, float su, bool start,
                          float& y) const {
    const SelectiveScanCudaArgs<T>& args = launch_.args;
    const Pack B = gpu::widen(of.B[i]), C = gpu::widen(of.C[i]);
    Pack h;
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      // What was before must not matter at a start, even infinity.
      const float before = start ? 0.0f : of.h[i].v[k];
      const float factor = start ? 0.0f : gpu::exp2_fast(s * (of.A.v[k] * gpu::kLog2E));
      h.v[k] = fmaf(factor, before, su * B.v[k]);
      y = fmaf(C.v[k], h.v[k], y);
    }
    if (!writes_[i]) return;
    gpu::store_pack(h, at(args.h, i, c_, 0) + offset(args.h, n));
    if (args.states.absent()) return;
#pragma unroll
    for (int k = 0; k < kPack; ++k) *at(args.states, i, 0, n + k, c_) = of.h[i].v[k];
  }

  const SelectiveStepLaunch<T>& launch_;
  int64_t b_, group_, c_;
  int lane_;
  bool is_there_[kSequences], writes_[kSequences];  // the sequences, and channels of them
};

// Blocks of a multiprocessor: enough for what is on its way.
template <int kSequences>
inline constexpr int kStepBlocks = kSequences == 1   ? 10
                                   : kSequences == 2 ? 7
                                                     : 4;

template <typename T, int kPack, int kSequences>
__global__ void __launch_bounds__(kSelectiveThreads, kStepBlocks<kSequences>)
    step_kernel(const __grid_constant__ SelectiveStepLaunch<T> launch) {
  Step<T, kPack, kSequences>(launch).run();
}

/// Queues a scan of one step.
template <typename T>
void launch_step(const SelectiveScanCudaArgs<T>& args, cudaStream_t stream) {
  constexpr int kWide = 4, kMany = 2;  // states of a pack, sequences
  constexpr int64_t kManyThreads = int64_t{1} << 18;
  const int64_t batch = args.in.u.extent(0), channels = args.in.u.extent(2);
  const int64_t groups = args.in.B.extent(2), state = args.in.A.extent(1);
  const auto launch = [&]<int kPack>(std::integral_constant<int, kPack>) {
    const int lanes = gpu::lanes_for(state, kPack);
    const int64_t width = kSelectiveThreads / lanes, group = channels / groups;
    const int64_t tiles = (group + width - 1) / width;
    const bool many = batch >= kMany && batch * channels * lanes >= kManyThreads;
    const int64_t rows = many ? (batch + kMany - 1) / kMany : batch;
    const unsigned blocks = gpu::blocks_for(rows * groups * tiles, 1, kWhere);
    const auto kernel = many ? step_kernel<T, kPack, kMany> : step_kernel<T, kPack, 1>;
    kernel<<<blocks, kSelectiveThreads, 0, stream>>>(
        SelectiveStepLaunch<T>{args, group, static_cast<unsigned>(tiles), lanes});
  };
  const bool wide = gpu::in_pieces(args.h, state, kWide * sizeof(float)) &&
                    gpu::in_pieces(args.in.A, state, kWide * sizeof(float)) &&
                    gpu::in_pieces(args.in.B, state, kWide * sizeof(T)) &&
                    gpu::in_pieces(args.in.C, state, kWide * sizeof(T));
  if (wide) {
    launch(std::integral_constant<int, kWide>());
  } else {
    launch(std::integral_constant<int, 1>());
  }
  gpu::require_device(cudaGetLastError(), kWhere);
}

}  // namespace selective_cuda
}  // namespace longwave::ops
