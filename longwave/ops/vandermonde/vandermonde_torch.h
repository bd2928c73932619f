// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace longwave::ops {

/// vandermonde.h as a differentiable function.
///
/// Shapes     a, c (channels, modes) complex; result (channels, length) real.
/// Numerics   complex64: SIMD kernel; complex128: plain powers, for gradient checks.
/// Errors     InvalidArgument if shapes or types disagree or length < 0.
torch::Tensor vandermonde(const torch::Tensor& a, const torch::Tensor& c, int64_t length);

}  // namespace longwave::ops
