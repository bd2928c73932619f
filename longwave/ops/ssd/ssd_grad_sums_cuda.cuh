// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_grad_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

inline constexpr int kSumThreads = 128;

/// Adds the sums of chunks up for dA, ddt_bias and dD, in double; a block a number.
template <typename T>
__global__ void __launch_bounds__(kSumThreads)
    grad_parameters_kernel(const __grid_constant__ SsdGradLaunch<T> launch) {
  __shared__ double parts[kSumThreads];
  const int64_t which = blockIdx.x % launch.signals.extent(1);
  const int64_t head = blockIdx.x / launch.signals.extent(1);
  double sum = 0;
  for (int64_t row = threadIdx.x; row < launch.signals.extent(2); row += kSumThreads) {
    sum += launch.signals(head, which, row);
  }
  parts[threadIdx.x] = sum;
#pragma unroll
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x > 0) return;
  const SsdCudaGradArgs<T>& args = launch.args;
  const float number = static_cast<float>(parts[0]);
  if (which == 0) {
    args.dA(head) = number;
  } else if (which == 1) {
    if (!args.ddt_bias.absent()) args.ddt_bias(head) = number;
  } else {
    args.dD(head, which - 2) = number;
  }
}

/// Adds the sums of splits up for dB and dC, in their order.
template <typename T>
__global__ void __launch_bounds__(kSumThreads)
    grad_inputs_kernel(const __grid_constant__ SsdGradLaunch<T> launch) {
  const View<float, 6>& sums = launch.inputs;
  const int64_t state = sums.extent(5), groups = sums.extent(3), time = sums.extent(2);
  const int64_t each = sums.stride(0);
  const int64_t index = int64_t{blockIdx.x} * kSumThreads + threadIdx.x;
  if (index >= each) return;
  float sum = 0.0f;
  for (int64_t split = 0; split < sums.extent(0); ++split) sum += sums.data()[split * each + index];
  const int64_t n = index % state, which = index / state % 2, g = index / (2 * state) % groups;
  const int64_t t = index / (2 * state * groups) % time, b = index / (2 * state * groups * time);
  gpu::narrow(sum, which == 0 ? launch.args.dB(b, t, g, n) : launch.args.dC(b, t, g, n));
}

}  // namespace longwave::ops::ssd_cuda_kernels
