// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// long_conv.h as a differentiable function of all its operands.
///
/// Shapes     u (batch, time, channels), K (channels, kernel_length), K_ahead the same or
///            undefined, d (channels) or undefined; result (batch, time, channels).
/// Numerics   float32: transforms; float64: the direct sum, for gradient checks.
/// Errors     InvalidArgument if shapes or types disagree.
torch::Tensor long_conv(const torch::Tensor& u, const torch::Tensor& K,
                        const torch::Tensor& K_ahead = {}, const torch::Tensor& d = {});

}  // namespace longwave::ops
