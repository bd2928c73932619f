// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <span>
#include <type_traits>

#include "longwave/base/view.h"
#include "longwave/ops/tensor_view_torch.h"

struct CUstream_st;
struct __nv_bfloat16;

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

/// Calls `body` with std::type_identity of what the tensor holds: float, or 16-bit numbers.
template <typename Body>
void with_signal_type(const torch::Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == torch::kBFloat16) {
    body(std::type_identity<__nv_bfloat16>());
  } else {
    body(std::type_identity<float>());
  }
}

/// Throws DeviceError: the operator has no CUDA backend in this build.
[[noreturn]] void refuse_device(const char* where);

}  // namespace longwave::ops::gpu
