// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_launch_cuda.cuh"

namespace longwave::ops {

template int ssd_most_heads<__half>(const SsdSize&, const gpu::Capacity&);
template SsdPlan ssd_plan<__half>(const SsdSize&, const gpu::Capacity&, int, int64_t);
template SsdPlan ssd_plan<__half>(const SsdSize&, const gpu::Capacity&);
template int ssd_shared_bytes<__half>(const SsdSize&, const SsdPlan&);
template bool ssd_fits_warpgroups<__half>(const SsdSize&);
template SsdPlan ssd_warpgroup_plan<__half>(const SsdSize&, int, int64_t);
template SsdPlan ssd_scan_plan<__half>(const SsdSize&);
template void ssd_by_plan(const SsdCudaArgs<__half>&, const SsdPlan&, std::span<std::byte>,
                          cudaStream_t);

}  // namespace longwave::ops
