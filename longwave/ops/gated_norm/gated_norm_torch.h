// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/gated_norm/gated_norm.h"

namespace longwave::ops {

/// Operands of gated_norm as tensors.
struct GatedNormInput {
  GateOrder order = GateOrder::kBefore;
  int64_t groups = 1;
  double epsilon = 1e-5;
  torch::Tensor x;  ///< (..., channels)
  torch::Tensor z;  ///< as x, or undefined for no gate
  torch::Tensor w;  ///< (channels)
};

/// gated_norm (see gated_norm.h) as a torch function, differentiable in x, z and w. Float32 or
/// float64; any strides will do. On a GPU it is made of operations of torch.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
torch::Tensor gated_norm(const GatedNormInput& input);

}  // namespace longwave::ops
