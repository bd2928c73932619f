// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_grad_warpgroup_launch_cuda.cuh"

namespace longwave::ops {

template void ssd_grad_on_warpgroups(const SsdWarpgroupGradLaunch<__nv_bfloat16>&, cudaStream_t);

}  // namespace longwave::ops
