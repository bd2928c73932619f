// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"

namespace longwave::ops {

/// causal_conv1d as operations of torch, which differentiates them: one multiplication a tap. The
/// form on a GPU for what the kernels there do not offer; right on any device.
///
/// Numerics   float64, or float32 from the bias on, oldest tap first; y is rounded once.
/// Cost       a pass over memory for each tap; where sequences are packed, keeps one signal a tap
///            for the gradient.
CausalConv1dOutput causal_conv1d_of_operations(const CausalConv1dInput& input);

}  // namespace longwave::ops
