// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/causal_conv1d/causal_conv1d.h"

namespace longwave::ops {

/// Operands of causal_conv1d as tensors; undefined ones are absent.
struct CausalConv1dInput {
  ConvActivation activation = ConvActivation::kNone;
  torch::Tensor x;        ///< (batch, time, channels)
  torch::Tensor w;        ///< (channels, width)
  torch::Tensor b;        ///< (channels), or undefined
  torch::Tensor history;  ///< (batch, width - 1, channels) raw inputs, or undefined for zero
  torch::Tensor starts;   ///< (batch, time) uint8 or bool, or undefined
};

struct CausalConv1dOutput {
  torch::Tensor y;        ///< (batch, time, channels)
  torch::Tensor history;  ///< (batch, width - 1, channels) for the next call
};

/// causal_conv1d (see causal_conv1d.h) as a torch function, differentiable in x, w, b and history
/// through y and the new history. Float32 or float64, or x and histories of 16 bits beside float32
/// for the rest: they are widened exactly, and y is rounded once. Any strides will do. On a GPU
/// float64, and filters of more taps than the kernels have (causal_conv1d_cuda.h), are made of
/// operations of torch.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
CausalConv1dOutput causal_conv1d(const CausalConv1dInput& input);

/// Whether `causal_conv1d_into` and its gradients run for such signals, where they are, and filters
/// of that width.
bool causal_conv1d_has_kernel(const torch::Tensor& x, int64_t width);

/// The convolution outside of autograd, for functions that it is a part of: fills y and history.
void causal_conv1d_into(const CausalConv1dInput& in, const CausalConv1dOutput& out);

/// Its gradients outside of autograd, from those of the outputs, grad.history undefined for none;
/// they fill `out`, which has the shapes of `in` and any strides.
void causal_conv1d_gradients(const CausalConv1dInput& in, const CausalConv1dOutput& grad,
                             const CausalConv1dInput& out);

}  // namespace longwave::ops
