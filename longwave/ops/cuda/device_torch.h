// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <span>
#include <type_traits>

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

/// The stream on which torch queues this thread's work on the current GPU.
///
/// Errors     DeviceError in a build without CUDA.
CUstream_st* current_stream();

/// Scratch memory of the tensor's GPU; it may go as soon as what uses it is queued.
torch::Tensor scratch_like(const torch::Tensor& tensor, size_t bytes);

/// The bytes of scratch memory.
std::span<std::byte> bytes_of(const torch::Tensor& scratch);

/// Whether the tensor is on the current GPU.
bool is_here(const torch::Tensor& tensor);

/// A view of a tensor on the current GPU with its strides; an absent view of an undefined tensor.
///
/// Errors     InvalidArgument if the tensor has another type, rank or device.
template <typename T, int Rank>
View<T, Rank> device_view_of(const torch::Tensor& tensor) {
  require(!tensor.defined() || is_here(tensor), "operator on tensors",
          "operands must be on one GPU");
  return strided_view_of<T, Rank>(tensor);
}

/// The types that an operator's kernels come in.
template <typename... Types>
struct KernelTypes {
  /// Whether this build holds a kernel for such a tensor, on the GPU where it is.
  static bool hold(const torch::Tensor& tensor) {
    return kBuiltIn && tensor.is_cuda() && is_one(tensor);
  }

  /// Calls `body`, which sizes scratch memory and queues kernels, with std::type_identity of what
  /// the tensor holds, while its GPU is the current one. All calls of kernels pass through here.
  ///
  /// Errors     InvalidArgument if there are no kernels of that type.
  template <typename Body>
  static void call(const torch::Tensor& tensor, const Body& body) {
    require(is_one(tensor), "operator on tensors", "there is no kernel of this type on a GPU");
    const c10::DeviceGuard guard(tensor.device());
    ((tensor.scalar_type() == scalar_type_of<Types>() ? body(std::type_identity<Types>()) : void()),
     ...);
  }

 private:
  static bool is_one(const torch::Tensor& tensor) {
    return ((tensor.scalar_type() == scalar_type_of<Types>()) || ...);
  }
};

/// What the kernels of signals come in.
using SignalTypes = KernelTypes<float, __nv_bfloat16, __half>;

/// Throws DeviceError, in a build without CUDA: the operator has no backend for a GPU there.
[[noreturn]] void refuse_device(const char* where);

}  // namespace longwave::ops::gpu
