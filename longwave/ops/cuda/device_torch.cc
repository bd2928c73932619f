// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/device_torch.h"

#include "longwave/base/error.h"

namespace longwave::ops::gpu {

torch::Tensor scratch_like(const torch::Tensor& tensor, size_t bytes) {
  return torch::empty({static_cast<int64_t>(bytes)},
                      torch::TensorOptions(torch::kUInt8).device(tensor.device()));
}

std::span<std::byte> bytes_of(const torch::Tensor& scratch) {
  return {static_cast<std::byte*>(scratch.data_ptr()), static_cast<size_t>(scratch.numel())};
}

void refuse_device(const char* where) {
  throw DeviceError(
      {.where = where,
       .what = "the operands are on a GPU, where it does not run in this build",
       .got = {},
       .fix = "set train.device = \"cpu\", or build with CUDA and a libtorch for it"});
}

}  // namespace longwave::ops::gpu
