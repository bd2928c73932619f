// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/device_torch.h"

#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

namespace longwave::ops::gpu {

CUstream_st* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

bool is_here(const torch::Tensor& tensor) {
  return tensor.is_cuda() && tensor.get_device() == c10::cuda::current_device();
}

torch::Tensor scratch_like(const torch::Tensor& tensor, size_t bytes) {
  return torch::empty({static_cast<int64_t>(bytes)},
                      torch::TensorOptions(torch::kUInt8).device(tensor.device()));
}

std::span<std::byte> bytes_of(const torch::Tensor& scratch) {
  return {static_cast<std::byte*>(scratch.data_ptr()), static_cast<size_t>(scratch.numel())};
}

}  // namespace longwave::ops::gpu
