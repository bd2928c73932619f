// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/dropout/dropout_cuda.h"
#include "longwave/ops/dropout/dropout_rule.h"

namespace longwave::ops {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    dropout_mask_kernel(const __grid_constant__ View<const int64_t, 1> seed, uint64_t place,
                        DropoutRule<float> rule, const __grid_constant__ View<float, 1> mask) {
  const int64_t block = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const auto numbers = rule.block(static_cast<uint64_t>(seed(0)), block, place);
#pragma unroll
  for (int64_t j = 0; j < kDropoutBlock; ++j) {
    const int64_t i = kDropoutBlock * block + j;
    if (i < mask.extent(0)) mask(i) = numbers[j];
  }
}

}  // namespace

void dropout_mask_cuda(const DropoutCudaArgs& args, cudaStream_t stream) {
  require(args.rate >= 0 && args.rate < 1, "dropout", "the rate must be in [0, 1)");
  require(args.seed.size() == 1, "dropout", "there must be one seed");
  if (args.mask.size() == 0) return;
  dropout_mask_kernel<<<gpu::blocks_for(args.mask.size(), kDropoutBlock * kThreads, "dropout"),
                        kThreads, 0, stream>>>(args.seed, args.place, DropoutRule<float>(args.rate),
                                               args.mask);
  gpu::require_device(cudaGetLastError(), "dropout");
}

}  // namespace longwave::ops
