// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "longwave/ops/ssd/ssd_march_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

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
