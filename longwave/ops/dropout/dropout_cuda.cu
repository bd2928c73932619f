// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/base/philox_block.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/dropout/dropout_cuda.h"

namespace longwave::ops {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kWords = 4;  // that one call of philox gives

__global__ void __launch_bounds__(kThreads)
    dropout_mask_kernel(const __grid_constant__ View<const int64_t, 1> seed, uint64_t place,
                        double least, float keep, const __grid_constant__ View<float, 1> mask) {
  const int64_t block = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const auto words =
      philox_block(static_cast<uint64_t>(seed(0)), static_cast<uint64_t>(block), place);
#pragma unroll
  for (int64_t j = 0; j < kWords; ++j) {
    const int64_t i = kWords * block + j;
    if (i < mask.extent(0)) mask(i) = static_cast<double>(words[j]) >= least ? keep : 0.0f;
  }
}

}  // namespace

void dropout_mask_cuda(const DropoutCudaArgs& args, cudaStream_t stream) {
  require(args.rate >= 0 && args.rate < 1, "dropout", "the rate must be in [0, 1)");
  require(args.seed.size() == 1, "dropout", "there must be one seed");
  if (args.mask.size() == 0) return;
  dropout_mask_kernel<<<gpu::blocks_for(args.mask.size(), kWords * kThreads, "dropout"), kThreads,
                        0, stream>>>(args.seed, args.place, args.rate * 4294967296.0,
                                     static_cast<float>(1 / (1 - args.rate)), args.mask);
  gpu::require_device(cudaGetLastError(), "dropout");
}

}  // namespace longwave::ops
