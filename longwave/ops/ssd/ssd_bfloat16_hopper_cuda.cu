// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_warpgroup_launch_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

template void launch_on_warpgroups(const SsdWarpgroupLaunch<__nv_bfloat16>&, SsdMarch,
                                   cudaStream_t);

}  // namespace longwave::ops::ssd_cuda_kernels
