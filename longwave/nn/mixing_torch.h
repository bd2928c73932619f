// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/nn/linear_torch.h"
#include "longwave/nn/mixing.h"

namespace longwave::nn {

/// The training form of Mixing with the dropout of its residual branch:
///
///   y = x + mask mixing(v)
///
/// One node of the graph. What the activation and the gate need is computed again in the backward
/// pass, tile by tile in the cache, so that only v and the projection are kept.
///
/// Shapes     x, v, y (batch, time, channels); mask (batch, 1, channels), (batch, time, channels)
/// or
///            undefined for none.
/// Numerics   float32 or float64 by the type of v, or v in bfloat16 beside x in float32, for y in
///            float32. On a GPU and in bfloat16 it is made of operations of torch.
struct MixingCall {
  MixingKind kind;
  ops::Activation activation;
  torch::Tensor x;
  torch::Tensor v;
  torch::Tensor mask;
};
torch::Tensor mixing(const MixingCall& call, const ParameterLookup& parameters);

}  // namespace longwave::nn
