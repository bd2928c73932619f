// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_launch_cuda.cuh"

namespace longwave::ops {

template int ssd_most_heads<float>(const SsdSize&, const gpu::Capacity&);
template SsdPlan ssd_plan<float>(const SsdSize&, const gpu::Capacity&, int, int64_t);
template SsdPlan ssd_plan<float>(const SsdSize&, const gpu::Capacity&);
template int ssd_shared_bytes<float>(const SsdSize&, const SsdPlan&);
template bool ssd_fits_warpgroups<float>(const SsdSize&);
template SsdPlan ssd_warpgroup_plan<float>(const SsdSize&, int, int64_t);
template SsdPlan ssd_scan_plan<float>(const SsdSize&);
template void ssd_by_plan(const SsdCudaArgs<float>&, const SsdPlan&, std::span<std::byte>,
                          cudaStream_t);

}  // namespace longwave::ops
