// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// Rows of scores that become the gradients of their losses times scale; see softmax_loss_cuda.h.
struct SoftmaxLossTensors {
  torch::Tensor scores;  // (rows, classes) in: scores, out: gradients
  torch::Tensor label;   // (rows) int64, -1 not asked
  torch::Tensor scale;   // () what every gradient is multiplied by
  torch::Tensor loss;    // (rows) out
};

/// Whether this build holds CUDA kernels for such scores.
bool softmax_loss_runs_on_device(const torch::Tensor& scores);

/// Queues softmax_loss_cuda on torch's stream.
///
/// Errors     DeviceError in a build without CUDA.
void softmax_loss_on_device(const SoftmaxLossTensors& in);

}  // namespace longwave::ops
