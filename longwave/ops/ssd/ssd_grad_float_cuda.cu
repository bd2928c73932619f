// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_grad_launch_cuda.cuh"

namespace longwave::ops {

template bool ssd_grad_fits_warpgroups<float>(const SsdSize&);
template SsdGradPlan ssd_grad_plan<float>(const SsdSize&, const gpu::Capacity&, int64_t);
template SsdGradPlan ssd_grad_plan<float>(const SsdSize&, const gpu::Capacity&);
template SsdGradPlan ssd_grad_plan<float>(const SsdSize&);
template int ssd_grad_shared_bytes<float>(const SsdSize&, const SsdGradPlan&);
template int64_t ssd_grad_most_states<float>(const gpu::Capacity&);
template size_t ssd_grad_plan_bytes<float>(const SsdSize&, const SsdGradPlan&);
template void ssd_grad_by_plan(const SsdCudaGradArgs<float>&, const SsdGradPlan&,
                               std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
