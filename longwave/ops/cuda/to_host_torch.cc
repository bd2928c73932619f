// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/to_host_torch.h"

#include <ATen/cuda/CUDAEvent.h>

namespace longwave::ops::gpu {

torch::Tensor to_host(const torch::Tensor& tensor, FunctionRef<void()> meanwhile) {
  const c10::DeviceGuard guard(tensor.device());
  // Only to memory that stays in place a copy runs by itself.
  torch::Tensor host =
      torch::empty(tensor.sizes(), tensor.options().device(torch::kCPU).pinned_memory(true));
  host.copy_(tensor, /*non_blocking=*/true);
  at::cuda::CUDAEvent copied;
  copied.record();
  meanwhile();
  copied.synchronize();
  return host;
}

}  // namespace longwave::ops::gpu
