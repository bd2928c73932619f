// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_launch_cuda.cuh"

namespace longwave::ops {

template int ssd_most_heads<__nv_bfloat16>(const SsdSize&, const gpu::Capacity&);
template SsdPlan ssd_plan<__nv_bfloat16>(const SsdSize&, const gpu::Capacity&, int, int64_t);
template SsdPlan ssd_plan<__nv_bfloat16>(const SsdSize&, const gpu::Capacity&);
template int ssd_shared_bytes<__nv_bfloat16>(const SsdSize&, const SsdPlan&);
template bool ssd_fits_warpgroups<__nv_bfloat16>(const SsdSize&);
template SsdPlan ssd_warpgroup_plan<__nv_bfloat16>(const SsdSize&, int, int64_t);
template SsdPlan ssd_scan_plan<__nv_bfloat16>(const SsdSize&);
template void ssd_by_plan(const SsdCudaArgs<__nv_bfloat16>&, const SsdPlan&, std::span<std::byte>,
                          cudaStream_t);

}  // namespace longwave::ops
