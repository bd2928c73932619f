// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_torch.h"

namespace longwave::ops {

/// Whether this build holds CUDA kernels for such signals, and blocks of their GPU have room for
/// that many states.
bool ssd_runs_on_device(const torch::Tensor& x, int64_t state);

/// Queues ssd_cuda on torch's stream: fills y, and takes h from the initial state to the final one.
/// D is of rank 2; h0 is not read.
///
/// Errors     DeviceError in a build without CUDA.
void ssd_on_device(const SsdInput& in, const SsdOutput& out);

/// Queues the gradients of everything but starts; `grads` has the shapes of `in`, its h0 that of
/// the state, and `d` are those of the outputs.
///
/// Errors     DeviceError in a build without CUDA.
void ssd_backward_on_device(const SsdInput& in, const SsdOutput& d, const SsdInput& grads);

}  // namespace longwave::ops
