// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/nn/linear_torch.h"
#include "longwave/nn/norm.h"

namespace longwave::nn {

/// A residual stream whose last branch may still have to be added, so that one pass over memory can
/// do that and normalise.
struct Residual {
  torch::Tensor x;            ///< (batch, time, channels)
  torch::Tensor branch = {};  ///< as x, or undefined if all is added

  torch::Tensor sum() const { return branch.defined() ? x + branch : x; }
};

/// Whether `normed_sum` can settle the stream and normalise it so.
bool joins(NormKind kind, const Residual& stream, Precision precision);

/// What is left of a stream, and its norm.
struct NormedSum {
  torch::Tensor x;  ///< the sum
  torch::Tensor y;  ///< norm(x), rounded to bfloat16
};

/// Settles a stream of float32 with a branch in bfloat16, on a GPU, and normalises it; the gradient
/// takes one pass, too. parameters are the norm's.
///
/// Numerics   the same bits as `norm` of the sum, rounded; in the gradient of x both shares are
///            added before they are rounded.
/// Errors     second derivatives are not offered: asking for them throws c10::Error.
NormedSum normed_sum(NormKind kind, const Residual& stream, const ParameterLookup& parameters);

}  // namespace longwave::nn
