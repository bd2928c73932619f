// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/linear_scan/linear_scan_torch.h"

namespace longwave::ops {

/// Whether this build holds CUDA kernels for such operands.
bool linear_scan_runs_on_device(const torch::Tensor& b);

/// What the gradient of a scan reads, all real or all complex; dfinal is undefined for zero.
struct LinearScanSaved {
  torch::Tensor a, h, h0, dh, dfinal;
};

/// The gradients; a is undefined if it is not wanted.
struct LinearScanGradients {
  torch::Tensor a, b, h0;
};

/// Queues linear_scan_cuda on torch's stream: fills h and final.
///
/// Errors     DeviceError in a build without CUDA.
void linear_scan_on_device(const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& h0,
                           const LinearScanOutput& out);

/// Queues the gradients.
///
/// Errors     DeviceError in a build without CUDA.
void linear_scan_backward_on_device(const LinearScanSaved& in, const LinearScanGradients& out);

}  // namespace longwave::ops
