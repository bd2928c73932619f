// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/gated_norm/gated_norm.h"

namespace longwave::ops {

/// Whether this build holds CUDA kernels for such signals.
bool gated_norm_runs_on_device(const torch::Tensor& x);

/// Queues gated_norm_cuda on torch's stream; z may be undefined. Fills y and inverse.
///
/// Errors     DeviceError in a build without CUDA.
struct GatedNormOnDevice {
  GateOrder order;
  double epsilon;
  torch::Tensor x, z, w;     // (rows, channels), the same, (channels)
  torch::Tensor y, inverse;  // (rows, channels), (rows, groups)
};
void gated_norm_on_device(const GatedNormOnDevice& call);

/// Queues the gradients; dz is undefined if z is.
///
/// Errors     DeviceError in a build without CUDA.
struct GatedNormGradOnDevice {
  GateOrder order;
  torch::Tensor x, z, w, inverse, dy;  // as above
  torch::Tensor dx, dz, dw;            // (rows, channels), the same, (channels)
};
void gated_norm_backward_on_device(const GatedNormGradOnDevice& call);

}  // namespace longwave::ops
