// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/nn/linear_torch.h"
#include "longwave/nn/mlp.h"

namespace longwave::nn {

/// The training form of Mlp with the dropout of its residual branch: y = x + mask mlp(h).
///
/// Shapes     x, h, y (batch, time, channels); mask (batch, 1, channels), (batch, time, channels)
/// or
///            undefined for none.
/// Numerics   float32 or float64 by the type of h, or h in bfloat16 as in MixingCall.
struct MlpCall {
  MlpKind kind;
  torch::Tensor x;
  torch::Tensor h;
  torch::Tensor mask;
};
torch::Tensor mlp(const MlpCall& call, const ParameterLookup& parameters);

}  // namespace longwave::nn
