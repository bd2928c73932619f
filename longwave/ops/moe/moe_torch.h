// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/moe/moe.h"

namespace longwave::ops {

/// Where each token goes; see route and dispatch in moe.h.
struct Routing {
  torch::Tensor weights;  ///< (tokens, k) differentiable
  torch::Tensor balance;  ///< scalar loss, differentiable
  torch::Tensor chosen;   ///< (tokens, k) int64
  torch::Tensor counts;   ///< (experts) int64
  torch::Tensor order;    ///< (tokens k) int64
  torch::Tensor place;    ///< (tokens, k) int64
  torch::Tensor
      first;  ///< (experts + 1) int64, on the CPU: expert e has rows first[e] to first[e + 1]
};

/// How many experts a token chooses, and how their weights are made.
struct RouterSettings {
  RouterWeights kind = RouterWeights::kOfChosen;
  int64_t k = 2;
};

/// Routes tokens by logits (tokens, experts), float32 or float64; gradients flow back to them
/// through weights and balance.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
Routing route(const RouterSettings& settings, const torch::Tensor& logits);

/// x (tokens, channels) as the experts' rows (tokens k, channels); differentiable.
torch::Tensor gather(const Routing& routing, const torch::Tensor& x);

/// The weighted sum (tokens, channels) of the experts' rows; differentiable in rows and weights.
torch::Tensor combine(const Routing& routing, const torch::Tensor& rows);

}  // namespace longwave::ops
