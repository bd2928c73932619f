// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/ssd/ssd_cuda.h"

namespace longwave::ops::ssd_cuda_kernels {

/// Step sizes and decays of one head in a chunk, in shared memory. Steps beyond the end of time
/// have size 0.
template <int kSteps>
struct ChunkDecays {
  float sums[kSteps];   // of d A log2(e), from the chunk's first step through this
  float sizes[kSteps];  // d
  float in[kSteps];     // what is left at this step of the state before the chunk
  float out[kSteps];    // what is left behind the chunk of this step's B x^T, times d
  int first[kSteps];    // the last start until this step, or -1
  float total;          // what is left behind the chunk of the state before it
  int last_start;       // first[kSteps - 1]

  /// What is left at step `to` of what entered at `from`, no later.
  __device__ float between(int from, int to) const {
    return from >= first[to] ? gpu::exp2_fast(sums[to] - sums[from]) : 0.0f;
  }
};

/// What a lane has read of the steps of a chunk.
template <int kSteps>
struct RawSteps {
  static constexpr int kEach = kSteps / 32;
  float dt[kEach];
  bool start[kEach];
};

/// Reads dt and starts of `count` steps from t on; a warp at a time.
template <int kSteps, typename T>
__device__ RawSteps<kSteps> read_steps(const SsdCudaInputs<T>& in, int64_t b, int64_t t, int count,
                                       int64_t head) {
  RawSteps<kSteps> raw;
#pragma unroll
  for (int i = 0; i < raw.kEach; ++i) {
    const int step = threadIdx.x % 32 * raw.kEach + i;
    const bool there = step < count;
    raw.dt[i] = there ? gpu::widen(in.dt(b, t + step, head)) : 0.0f;
    raw.start[i] = there && !in.starts.absent() && in.starts(b, t + step) != 0;
  }
  return raw;
}

/// The step size of a raw one with its bias.
template <typename T>
__device__ float step_size(const SsdCudaInputs<T>& in, float raw) {
  return fminf(fmaxf(gpu::softplus(raw), in.limits.least), in.limits.most);
}

/// What decays of a head are made with: A log2(e), and what is added to raw step sizes.
struct HeadRate {
  double rate = 0;
  float bias = 0;

  template <typename T>
  __device__ HeadRate(const SsdCudaInputs<T>& in, int64_t head)
      : rate(static_cast<double>(in.A(head)) * 1.44269504088896340736),
        bias(in.dt_bias.absent() ? 0.0f : in.dt_bias(head)) {}
};

/// Finds the decays of a chunk; a warp at a time. Returns the last of the sums.
template <int kSteps, typename T>
__device__ float find_decays(const SsdCudaInputs<T>& in, const RawSteps<kSteps>& raw, int count,
                             const HeadRate& of, ChunkDecays<kSteps>& to) {
  constexpr int kEach = RawSteps<kSteps>::kEach;
  constexpr unsigned kAll = 0xffffffffu;
  const int lane = threadIdx.x % 32;
  double sums[kEach];
  float sizes[kEach];
  int first[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int step = lane * kEach + i;
    sizes[i] = step < count ? step_size(in, raw.dt[i] + of.bias) : 0.0f;
    sums[i] = (i > 0 ? sums[i - 1] : 0.0) + sizes[i] * of.rate;
    first[i] = raw.start[i] ? step : (i > 0 ? first[i - 1] : -1);
  }
  double before = sums[kEach - 1];
  int start = first[kEach - 1];
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const double sum = __shfl_up_sync(kAll, before, distance);
    const int earlier = __shfl_up_sync(kAll, start, distance);
    if (lane >= distance) {
      before += sum;
      start = max(start, earlier);
    }
  }
  const float whole = static_cast<float>(__shfl_sync(kAll, before, 31));
  const int last_start = __shfl_sync(kAll, start, 31);
  before = __shfl_up_sync(kAll, before, 1);
  start = __shfl_up_sync(kAll, start, 1);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int step = lane * kEach + i;
    const float sum = static_cast<float>(lane > 0 ? before + sums[i] : sums[i]);
    const int from = lane > 0 ? max(start, first[i]) : first[i];
    to.sums[step] = sum;
    to.sizes[step] = sizes[i];
    to.first[step] = from;
    to.in[step] = from < 0 ? gpu::exp2_fast(sum) : 0.0f;
    to.out[step] = step >= last_start ? sizes[i] * gpu::exp2_fast(whole - sum) : 0.0f;
  }
  if (lane == 0) {
    to.total = last_start < 0 ? gpu::exp2_fast(whole) : 0.0f;
    to.last_start = last_start;
  }
  return last_start < 0 ? whole : -INFINITY;
}

}  // namespace longwave::ops::ssd_cuda_kernels
