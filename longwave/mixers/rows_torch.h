// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::mixers {

/// The steps of all sequences one after the other: (batch, time, channels) as (batch time,
/// channels).
inline torch::Tensor rows_of(const torch::Tensor& x) { return x.flatten(0, 1); }

/// y = x W^T + b for x (batch, time, in) of any strides; one product over all steps, whose rows it
/// does not copy where the last extents are adjacent. b may be undefined. The product and y are in
/// the precision of x, to which W and b are rounded.
inline torch::Tensor linear_rows(const torch::Tensor& x, const torch::Tensor& W,
                                 const torch::Tensor& b) {
  const torch::Tensor rows = x.reshape({x.size(0) * x.size(1), x.size(2)});
  const torch::Tensor map = W.to(x.scalar_type()).t();
  const torch::Tensor y =
      b.defined() ? torch::addmm(b.to(x.scalar_type()), rows, map) : torch::mm(rows, map);
  return y.view({x.size(0), x.size(1), W.size(0)});
}

}  // namespace longwave::mixers
