// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "longwave/nn/linear_torch.h"
#include "longwave/nn/norm.h"

namespace longwave::nn {

/// Share of the newest batch in the running statistics of kBatch.
inline constexpr double kNormMomentum = 0.1;

enum class Phase : uint8_t { kTraining, kEvaluation };

/// The training form of Norm, by our own kernels forwards and backwards; on a GPU kBatch is made of
/// operations of torch.
///
/// In training kBatch takes its statistics over batch and valid steps and moves the running ones
/// towards them (with the unbiased variance); otherwise it uses the running ones.
///
///   running = (1 - kNormMomentum) running + kNormMomentum current
///
/// Shapes     x and result (batch, time, channels); valid (batch, time) uint8, or undefined for
///            all.
/// Numerics   float32 or float64 by the type of x; the result is rounded once more if `precision`
///            asks for it.
torch::Tensor norm(NormKind kind, const torch::Tensor& x, const torch::Tensor& valid, Phase phase,
                   const ParameterLookup& parameters, Precision precision = Precision::kOwn);

/// A norm and the linear map of its result, whose gradient reads x alone:
///
///   y = norm(x) W^T + b
///
/// On the CPU the backward pass of kLayer and kRms normalises again, so that x and two numbers a
/// row are kept; otherwise the normalised signal is kept, too.
///
/// Shapes     x (batch, time, channels), y (batch, time, outputs), all steps valid.
/// Numerics   the same bits as `linear` of `norm`, and the same gradients.
/// Errors     second derivatives are not offered: asking for them throws c10::Error.
struct NormLinear {
  NormKind kind;
  Phase phase;
  torch::Tensor x;
  torch::Tensor W;  // (outputs, channels)
  torch::Tensor b;  // (outputs), or undefined for 0
};
torch::Tensor norm_linear(const NormLinear& call, const ParameterLookup& parameters);

}  // namespace longwave::nn
