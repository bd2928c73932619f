// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_grad_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Adds up what several warps left.
template <int kParts, int kCount>
__device__ float added(const float (&parts)[kParts][kCount], int place) {
  float sum = parts[0][place];
#pragma unroll
  for (int i = 1; i < kParts; ++i) sum += parts[i][place];
  return sum;
}

/// Which chunk of which sequence and head; t is its first step.
struct ChunkPlace {
  int64_t b, chunk, t, head;
};

/// What step t reads, less what it gives to later steps of the chunk.
template <typename Sums>
__device__ float read_less_given(const Sums& from, int t) {
  return added(from.rows, t) + added(from.reads, t) - added(from.columns, t);
}

/// What step t gives to steps behind the chunk.
template <typename Sums, int kSteps>
__device__ float given_behind(const Sums& from, const ChunkDecays<kSteps>& by, int t) {
  return by.sizes[t] * added(from.inputs, t);
}

/// Finds e[t] = <g[t], what is left of h[t-1]> for a lane's steps, where
///
///   e[t] = sum over r >= t of what y[r] reads from before t: of what steps r >= t read from all,
///          less what steps s >= t give to all; and of what steps s < t and the state before the
///          chunk give to steps behind it.
template <typename Sums, int kSteps, int kEach>
__device__ void find_memories(const Sums& from, const ChunkDecays<kSteps>& by, float (&e)[kEach]) {
  constexpr unsigned kAll = 0xffffffffu;
  const int lane = threadIdx.x % 32;
  float after[kEach], before[kEach], suffix = 0.0f, prefix = 0.0f, state = 0.0f;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int t = lane * kEach + i;
    after[i] = read_less_given(from, t);
    before[i] = given_behind(from, by, t);
    suffix += after[i];
    prefix += before[i];
  }
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const float down = __shfl_down_sync(kAll, suffix, distance);
    const float up = __shfl_up_sync(kAll, prefix, distance);
    if (lane + distance < 32) suffix += down;
    if (lane >= distance) prefix += up;
  }
  suffix = __shfl_down_sync(kAll, suffix, 1);
  prefix = __shfl_up_sync(kAll, prefix, 1);
  if (lane == 31) suffix = 0.0f;
  if (lane == 0) prefix = 0.0f;
#pragma unroll
  for (const float part : from.states) state += part;
#pragma unroll
  for (int i = kEach - 1; i >= 0; --i) {
    suffix += after[i];
    float given = prefix;
#pragma unroll
    for (int j = 0; j < i; ++j) given += before[j];
    const int t = lane * kEach + i;
    e[i] = by.first[t] == t ? 0.0f : suffix + given + state;
  }
}

/// The chunk's sums for dD of `width` columns from `column` on, unless a head has one skip; a warp
/// at a time.
template <typename T, typename Sums>
__device__ void finish_skips(const SsdGradLaunch<T>& launch, const ChunkPlace& at, int64_t column,
                             int width, const Sums& from) {
  const View<const float, 2>& D = launch.args.in.D;
  if (D.absent() || D.extent(1) == 1) return;
  for (int p = threadIdx.x % 32; p < width; p += 32) {
    launch.signals(at.head, 2 + column + p, at.b * launch.chunks + at.chunk) = added(from.skips, p);
  }
}

/// ddt, and the chunk's sums for dA, ddt_bias and, of one skip a head, dD; a warp at a time. `raw`
/// is dt with its bias.
template <typename T, int kSteps, typename Sums>
__device__ void finish_steps(const SsdGradLaunch<T>& launch, const ChunkPlace& at, int count,
                             const ChunkDecays<kSteps>& by, const float* raw, const Sums& from) {
  constexpr int kEach = kSteps / 32;
  const SsdCudaInputs<T>& in = launch.args.in;
  const int lane = threadIdx.x % 32;
  float e[kEach], sum_A = 0.0f, sum_bias = 0.0f;
  find_memories(from, by, e);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int t = lane * kEach + i;
    if (t >= count) continue;
    const float whole = gpu::softplus(raw[t]);
    const bool free = whole >= in.limits.least && whole <= in.limits.most;
    const float slope = free ? gpu::sigmoid(raw[t]) : 0.0f;
    const float ddt = slope * fmaf(in.A(at.head), e[i], added(from.signals, t));
    gpu::narrow(ddt, launch.args.ddt(at.b, at.t + t, at.head));
    sum_A += by.sizes[t] * e[i];
    sum_bias += ddt;
  }
  sum_A = gpu::add_over_warp(sum_A);
  sum_bias = gpu::add_over_warp(sum_bias);
  const int64_t row = at.b * launch.chunks + at.chunk;
  if (lane == 0) {
    launch.signals(at.head, 0, row) = sum_A;
    launch.signals(at.head, 1, row) = sum_bias;
  }
  if (in.D.absent() || in.D.extent(1) != 1) return;
  float sum = 0.0f;
  for (int p = lane; p < kSsdColumns; p += 32) sum += added(from.skips, p);
  sum = gpu::add_over_warp(sum);
  if (lane == 0) launch.signals(at.head, 2, row) = sum;
}

}  // namespace longwave::ops::ssd_cuda_kernels
