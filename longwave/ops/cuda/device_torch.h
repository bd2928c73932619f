// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <span>

#include "longwave/base/view.h"
#include "longwave/ops/tensor_view_torch.h"

struct CUstream_st;

namespace longwave::ops::gpu {

/// Whether this build holds CUDA backends for a libtorch with CUDA.
#ifdef LONGWAVE_TORCH_CUDA
inline constexpr bool kBuiltIn = true;
#else
inline constexpr bool kBuiltIn = false;
#endif

/// The stream on which torch queues this thread's work.
///
/// Errors     DeviceError in a build without CUDA.
CUstream_st* current_stream();

/// Scratch memory of the tensor's GPU; it may go as soon as what uses it is queued.
torch::Tensor scratch_like(const torch::Tensor& tensor, size_t bytes);

/// The bytes of scratch memory.
std::span<std::byte> bytes_of(const torch::Tensor& scratch);

/// A view of a tensor on a GPU with its strides; an absent view of an undefined tensor.
///
/// Errors     InvalidArgument if the tensor has another type, rank or device.
template <typename T, int Rank>
View<T, Rank> device_view_of(const torch::Tensor& tensor) {
  require(!tensor.defined() || tensor.is_cuda(), "operator on tensors",
          "operands must be on one GPU");
  return strided_view_of<T, Rank>(tensor);
}

/// Throws DeviceError: the operator has no CUDA backend in this build.
[[noreturn]] void refuse_device(const char* where);

}  // namespace longwave::ops::gpu
