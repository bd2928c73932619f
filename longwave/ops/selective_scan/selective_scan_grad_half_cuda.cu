// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_grad_launch_cuda.cuh"

namespace longwave::ops {

template void selective_scan_grad_by_plan(const SelectiveScanCudaGradArgs<__half>&,
                                          const SelectiveScanPlan&, std::span<std::byte>,
                                          cudaStream_t);

}  // namespace longwave::ops
