// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/causal_conv1d/causal_conv1d.h"

namespace longwave::ops {

/// Operands of causal_conv1d as tensors; undefined ones are absent.
struct CausalConv1dInput {
  ConvActivation activation = ConvActivation::kNone;
  torch::Tensor x;        ///< (batch, time, channels)
  torch::Tensor w;        ///< (channels, width)
  torch::Tensor b;        ///< (channels), or undefined
  torch::Tensor history;  ///< (batch, width - 1, channels) raw inputs, or undefined for zero
  torch::Tensor starts;   ///< (batch, time) uint8 or bool, or undefined
};

struct CausalConv1dOutput {
  torch::Tensor y;        ///< (batch, time, channels)
  torch::Tensor history;  ///< (batch, width - 1, channels) for the next call
};

/// causal_conv1d (see causal_conv1d.h) as a torch function, differentiable in x, w, b and history
/// through y and the new history. Float32 or float64; any strides will do.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
CausalConv1dOutput causal_conv1d(const CausalConv1dInput& input);

}  // namespace longwave::ops
