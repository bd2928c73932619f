// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/attention/attention_torch.h"

namespace longwave::ops {

/// attention as operations of torch, which differentiates them: the whole matrix of scores. The
/// form on a GPU; right on any device.
///
/// Source     Vaswani et al. 2017, arXiv:1706.03762.
/// Numerics   the precision of q.
/// Cost       keeps batch heads time (past + time) weights for the gradient.
torch::Tensor attention_of_operations(const AttentionInput& input);

/// The positions of `time` steps in their sequences, (batch, time) int64: they count on from `seen`
/// (batch), which may be undefined, and from 0 at each of `starts` (batch, time) int64 or bool,
/// which may be undefined too. The result has the device and batch of `like`.
torch::Tensor positions_of_steps(const torch::Tensor& seen, const torch::Tensor& starts,
                                 const torch::Tensor& like);

/// rotary of x (batch, time, heads, head_dim) at `positions` (batch, time), as operations of torch.
torch::Tensor rotary_of_operations(const RotarySettings& settings, const torch::Tensor& x,
                                   const torch::Tensor& positions);

}  // namespace longwave::ops
