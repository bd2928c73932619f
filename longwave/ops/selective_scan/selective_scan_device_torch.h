// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/selective_scan/selective_scan_torch.h"

namespace longwave::ops {

/// Whether this build holds CUDA kernels for such signals.
bool selective_scan_runs_on_device(const torch::Tensor& u);

/// The most states of a channel that the kernels take: fewer where gradients are recorded.
int64_t selective_scan_device_states();

/// Queues selective_scan_cuda on torch's stream: fills y, h and, if it is defined, states.
///
/// Errors     DeviceError in a build without CUDA.
void selective_scan_on_device(const SelectiveScanTensors& in, const SelectiveScanOutput& out,
                              const torch::Tensor& states);

/// Queues the gradients of everything but starts; `grads` has the shapes of `in`, `d` are those of
/// the outputs.
///
/// Errors     DeviceError in a build without CUDA.
void selective_scan_backward_on_device(const SelectiveScanTensors& in, const torch::Tensor& states,
                                       const SelectiveScanOutput& d,
                                       const SelectiveScanTensors& grads);

}  // namespace longwave::ops
