// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/nn/linear_torch.h"
#include "longwave/nn/moe.h"

namespace longwave::nn {

/// The training form of Moe with the dropout of its residual branch: y = x + mask moe(h).
///
/// Shapes     x, h, y (batch, time, channels); mask (batch, 1, channels), (batch, time, channels)
///            or undefined for none.
/// Numerics   float32 or float64 by the type of h; sums in a fixed order.
struct MoeCall {
  MoeConfig config;
  torch::Tensor x;
  torch::Tensor h;
  torch::Tensor mask;
};
struct MoeOutput {
  torch::Tensor y;

  /// The balance of ops::route times its weight: `config.balance` where all experts are used alike.
  /// Steps that pad a sequence count, too.
  torch::Tensor balance;
};
MoeOutput moe(const MoeCall& call, const ParameterLookup& parameters);

}  // namespace longwave::nn
