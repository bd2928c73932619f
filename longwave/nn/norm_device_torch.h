// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/norm/norm.h"

namespace longwave::nn {

/// Queues row_norm_cuda on torch's stream; b may be undefined, y and branch bfloat16. Fills y,
/// moments and, with a branch, sum.
///
/// Errors     DeviceError in a build without CUDA.
struct RowNormOnDevice {
  ops::RowNorm kind;
  torch::Tensor x, w, b;                // (rows, channels), (channels), (channels)
  torch::Tensor y, moments;             // (rows, channels), (rows, 2)
  torch::Tensor branch = {}, sum = {};  // (rows, channels), or both undefined
};
void row_norm_on_device(const RowNormOnDevice& call);

/// Queues the gradients; db may be undefined, dy and dbranch bfloat16.
///
/// Errors     DeviceError in a build without CUDA.
struct RowNormGradOnDevice {
  ops::RowNorm kind;
  torch::Tensor x, w, moments, dy;        // as above
  torch::Tensor dx, dw, db;               // (rows, channels), (channels), (channels)
  torch::Tensor dsum = {}, dbranch = {};  // (rows, channels), or undefined
};
void row_norm_backward_on_device(const RowNormGradOnDevice& call);

}  // namespace longwave::nn
