// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_scan_torch.h"

namespace longwave::ops {

/// What a scan reads, or the gradients of that; d is undefined without a skip.
struct LtiScanTensors {
  torch::Tensor u, a, c, d, h0;
};

/// Whether this build holds CUDA kernels for signals such as u.
bool lti_scan_runs_on_device(const torch::Tensor& u);

/// Queues lti_scan_cuda on torch's stream: fills y, and takes h from the first state to the last.
///
/// Errors     DeviceError in a build without CUDA.
void lti_scan_on_device(const LtiScanTensors& in, const LtiScanOutput& out);

/// Queues the gradients of everything that a scan reads; `d` are those of the outputs, h undefined
/// for zero.
///
/// Errors     DeviceError in a build without CUDA.
void lti_scan_backward_on_device(const LtiScanTensors& in, const LtiScanOutput& d,
                                 const LtiScanTensors& grads);

}  // namespace longwave::ops
