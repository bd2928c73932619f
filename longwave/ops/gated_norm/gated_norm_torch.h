// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/gated_norm/gated_norm.h"

namespace longwave::ops {

/// Operands of gated_norm as tensors.
struct GatedNormInput {
  GateOrder order = GateOrder::kBefore;
  int64_t groups = 1;
  double epsilon = 1e-5;
  torch::Tensor x;  ///< (..., channels)
  torch::Tensor z;  ///< as x, or undefined for no gate
  torch::Tensor w;  ///< (channels)
};

/// gated_norm (see gated_norm.h) as a torch function, differentiable in x, z and w. Float32 or
/// float64, or x and z of 16 bits: they are widened exactly, and y is rounded once. Any strides
/// will do. On a GPU float64 is made of operations of torch.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
torch::Tensor gated_norm(const GatedNormInput& input);

/// Whether `gated_norm_into` and its gradients run for such signals, where they are.
bool gated_norm_has_kernel(const torch::Tensor& x);

/// The gated norm outside of autograd, for functions that it is a part of: fills y, and `inverse`
/// (rows, groups) if defined, as it must be on a GPU. Channels are adjacent in all tensors, and
/// there is a gate.
void gated_norm_into(const GatedNormInput& in, const torch::Tensor& y,
                     const torch::Tensor& inverse);

/// Its gradients outside of autograd, from those of y and the inverses: they fill x, z and w of
/// `grads`.
void gated_norm_gradients(const GatedNormInput& in, const torch::Tensor& inverse,
                          const torch::Tensor& dy, const GatedNormInput& grads);

}  // namespace longwave::ops
