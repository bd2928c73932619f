// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/sum_rows_cuda.h"

namespace longwave::ops::gpu {
namespace {

constexpr int64_t kThreads = 128;

__global__ void sum_rows_kernel(const __grid_constant__ View<const float, 3> parts,
                                const __grid_constant__ View<float, 2> out) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= out.size()) return;
  const int64_t i = index / out.extent(1), j = index % out.extent(1);
  double sum = 0;
  for (int64_t r = 0; r < parts.extent(0); ++r) sum += parts(r, i, j);
  out(i, j) = static_cast<float>(sum);
}

}  // namespace

void sum_rows(const View<const float, 3>& parts, const View<float, 2>& out, cudaStream_t stream) {
  if (out.size() == 0) return;
  sum_rows_kernel<<<blocks_for(out.size(), kThreads, "sum_rows"), kThreads, 0, stream>>>(parts,
                                                                                         out);
  require_device(cudaGetLastError(), "sum_rows");
}

}  // namespace longwave::ops::gpu
