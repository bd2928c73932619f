// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/sum_rows_cuda.h"

namespace longwave::ops::gpu {
namespace {

constexpr int kOutputs = 32;  // of a block, a column of threads each
constexpr int kStripes = 16;  // the threads of a column, which take parts in turn

__global__ void __launch_bounds__(kOutputs* kStripes)
    sum_rows_kernel(const __grid_constant__ View<const float, 3> parts,
                    const __grid_constant__ View<float, 2> out) {
  __shared__ double sums[kStripes][kOutputs];
  const int64_t index = int64_t{blockIdx.x} * kOutputs + threadIdx.x;
  const bool exists = index < out.size();
  const int64_t i = exists ? index / out.extent(1) : 0, j = exists ? index % out.extent(1) : 0;
  double sum = 0;
  if (exists) {
#pragma unroll 4
    for (int64_t r = threadIdx.y; r < parts.extent(0); r += kStripes) sum += parts(r, i, j);
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (!exists || threadIdx.y != 0) return;
#pragma unroll
  for (int stripe = 1; stripe < kStripes; ++stripe) sum += sums[stripe][threadIdx.x];
  out(i, j) = static_cast<float>(sum);
}

}  // namespace

void sum_rows(const View<const float, 3>& parts, const View<float, 2>& out, cudaStream_t stream) {
  if (out.size() == 0) return;
  sum_rows_kernel<<<blocks_for(out.size(), kOutputs, "sum_rows"), dim3(kOutputs, kStripes), 0,
                    stream>>>(parts, out);
  require_device(cudaGetLastError(), "sum_rows");
}

}  // namespace longwave::ops::gpu
