// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/moe/moe_torch.h"

namespace longwave::ops {

/// What moe_torch.h offers as operations of torch: the form on a GPU, which waits for `first`
/// alone; right on any device.
///
/// Numerics   the precision of the operands; sums in an order that the shapes fix.

/// `route` with `dispatch`, which torch differentiates; `first` is on the CPU.
Routing route_of_operations(const RouterSettings& settings, const torch::Tensor& logits);

/// x[order / k], outside torch's graph.
torch::Tensor gather_of_operations(const torch::Tensor& x, const torch::Tensor& order);

/// sum_j weights[t, j] rows[place[t, j]], outside torch's graph; weights may be undefined for 1.
torch::Tensor combine_of_operations(const torch::Tensor& rows, const torch::Tensor& weights,
                                    const torch::Tensor& place);

/// Gradients of the sum: drows[place[t, j]] = weights[t, j] dy[t], dweights[t, j] = dy[t] . rows.
struct CombineGradients {
  torch::Tensor drows, dweights;
};
CombineGradients combine_gradients_of_operations(const torch::Tensor& rows,
                                                 const torch::Tensor& weights,
                                                 const torch::Tensor& place,
                                                 const torch::Tensor& dy);

}  // namespace longwave::ops
