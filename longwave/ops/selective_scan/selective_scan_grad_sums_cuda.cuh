// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_kernel_cuda.cuh"

namespace longwave::ops::selective_cuda {

/// Turns what each segment passes back into the adjoint behind it.
template <typename T>
__global__ void grad_carry_kernel(const __grid_constant__ SelectiveGradLaunch<T> launch) {
  const SelectiveScanCudaGradArgs<T>& args = launch.args;
  const int64_t channels = args.dh0.extent(1), state = args.dh0.extent(2);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= args.dh0.extent(0) * state * channels) return;
  const int64_t c = index % channels, n = index / channels % state, b = index / channels / state;
  const float A = args.in.A(c, n) * gpu::kLog2E;
  float g = args.dh.absent() ? 0.0f : args.dh(b, c, n);
  for (int64_t segment = launch.segments - 1; segment >= 0; --segment) {
    float& end = launch.ends(b, segment, n, c);
    const float added = end;
    end = g;
    if (segment == 0) break;
    const float total = launch.totals(b, segment, c);
    g = isinf(total) ? added : fmaf(gpu::exp2_fast(total * A), g, added);
  }
}

/// The adjoint before the first of no steps.
template <typename T>
__global__ void grad_nothing_kernel(const __grid_constant__ SelectiveGradLaunch<T> launch) {
  const SelectiveScanCudaGradArgs<T>& args = launch.args;
  const int64_t channels = args.dh0.extent(1), state = args.dh0.extent(2);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= args.dh0.size()) return;
  const int64_t n = index % state, c = index / state % channels, b = index / (state * channels);
  args.dh0(b, c, n) = args.dh.absent() ? 0.0f : args.dh(b, c, n);
}

/// Adds the sums of blocks up for dB and dC, in the order of their channels.
template <typename T>
__global__ void grad_inputs_kernel(const __grid_constant__ SelectiveGradLaunch<T> launch) {
  const View<float, 6>& sums = launch.inputs;
  const int64_t fours = sums.extent(5), groups = sums.extent(3), time = sums.extent(2);
  const int64_t each = sums.stride(0);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t n = index % fours;
  if (index >= each || n >= launch.args.in.A.extent(1)) return;
  float sum = 0.0f;
  for (int64_t tile = 0; tile < sums.extent(0); ++tile) sum += sums.data()[tile * each + index];
  const int64_t which = index / fours % 2, g = index / (2 * fours) % groups;
  const int64_t t = index / (2 * fours * groups) % time, b = index / (2 * fours * groups * time);
  gpu::narrow(sum, which == 0 ? launch.args.dB(b, t, g, n) : launch.args.dC(b, t, g, n));
}

/// Adds the sums of segments up for dA, dD and ddt_bias, in double.
template <typename T>
__global__ void grad_parameters_kernel(const __grid_constant__ SelectiveGradLaunch<T> launch) {
  const SelectiveScanCudaGradArgs<T>& args = launch.args;
  const int64_t channels = launch.A.extent(2), state = launch.A.extent(1);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= (state + 2) * channels) return;
  const int64_t c = index % channels, n = index / channels;
  double sum = 0;
  for (int64_t row = 0; row < launch.A.extent(0); ++row) {
    sum += n < state ? launch.A(row, n, c) : launch.signals(row, n - state, c);
  }
  if (n < state) {
    args.dA(c, n) = static_cast<float>(sum);
  } else if (n == state) {
    if (!args.dD.absent()) args.dD(c) = static_cast<float>(sum);
  } else if (!args.ddt_bias.absent()) {
    args.ddt_bias(c) = static_cast<float>(sum);
  }
}

}  // namespace longwave::ops::selective_cuda
