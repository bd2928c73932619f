// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"

namespace longwave::ops {

/// Whether this build holds CUDA kernels for such signals, and filters of that width.
bool causal_conv1d_runs_on_device(const torch::Tensor& x, int64_t width);

/// Queues causal_conv1d_cuda on torch's stream: fills y and the final history.
///
/// Errors     DeviceError in a build without CUDA.
void causal_conv1d_on_device(const CausalConv1dInput& in, const CausalConv1dOutput& out);

/// Queues the gradients; `out` has the shapes of `in`.
///
/// Errors     DeviceError in a build without CUDA.
void causal_conv1d_backward_on_device(const CausalConv1dInput& in, const CausalConv1dOutput& grad,
                                      const CausalConv1dInput& out);

}  // namespace longwave::ops
