// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::ops {

/// Operands of selective_scan as tensors; shapes as in SelectiveScanInputs.
struct SelectiveScanTensors {
  StepSize step_size = StepSize::kSoftplus;
  torch::Tensor u;        ///< (batch, time, channels)
  torch::Tensor dt;       ///< (batch, time, channels) before bias and softplus
  torch::Tensor A;        ///< (channels, state)
  torch::Tensor B;        ///< (batch, time, groups, state)
  torch::Tensor C;        ///< (batch, time, groups, state)
  torch::Tensor D;        ///< (channels), or undefined for no skip
  torch::Tensor dt_bias;  ///< (channels), or undefined for 0
  torch::Tensor z;        ///< (batch, time, channels), or undefined for no gate
  torch::Tensor h0;       ///< (batch, channels, state), or undefined for 0
  torch::Tensor starts;   ///< (batch, time) uint8, or undefined for none
};

struct SelectiveScanOutput {
  torch::Tensor y;  ///< (batch, time, channels)
  torch::Tensor h;  ///< (batch, channels, state) the final state
};

/// selective_scan (see selective_scan.h) as a torch function, differentiable in every input but
/// `starts`, through y and h.
///
/// Any strides will do, halves of one projection need no copies; none of the inputs is changed.
/// On the CPU float32 runs the SIMD kernel, float64 the reference, so that gradients can be checked
/// by finite differences. On a GPU float32 runs the CUDA kernel, behind what torch has queued; more
/// states than it takes (selective_scan_cuda.h) are scanned in parts. u, dt, B, C and z may be of
/// 16 bits beside float32 for the rest: they are widened exactly, and y is rounded once. Kept for
/// the backward pass: the inputs, and the states before each chunk if any input requires a
/// gradient.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
SelectiveScanOutput selective_scan(const SelectiveScanTensors& in);

/// Whether `selective_scan_into` runs for such signals, where they are, and that many states; and
/// the gradients, where they are recorded.
bool selective_scan_has_kernel(const torch::Tensor& u, int64_t state);

/// The scan outside of autograd, for functions that it is a part of: fills y, turns h from the
/// initial into the final state, and fills `states` (batch, chunks, state, channels) if defined.
void selective_scan_into(const SelectiveScanTensors& in, const SelectiveScanOutput& out,
                         const torch::Tensor& states);

/// Its gradients outside of autograd, of everything but starts: `d` are those of the outputs, d.h
/// undefined for none; they fill `grads`, which has the shapes of `in` and any strides. On the CPU
/// grads.dt may be in.dt, and grads.u may be d.y.
void selective_scan_gradients(const SelectiveScanTensors& in, const torch::Tensor& states,
                              const SelectiveScanOutput& d, const SelectiveScanTensors& grads);

}  // namespace longwave::ops
