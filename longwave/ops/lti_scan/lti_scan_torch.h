// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

struct LtiScanOutput {
  torch::Tensor y;  ///< (batch, time, channels)
  torch::Tensor h;  ///< (batch, channels, modes) complex, the final state
};

/// lti_scan (see lti_scan.h) as a torch function, differentiable in every input through y and h.
///
///   u (batch, time, channels) real, a and c (channels, modes) complex,
///   d (channels) real or undefined for no skip,
///   h0 (batch, channels, modes) complex or undefined for zero.
///
/// Any strides will do; none of the inputs is changed. float32 runs the SIMD kernel, or that of a
/// GPU where the tensors are there, float64 the reference, so that gradients can be checked by
/// finite differences. u may be of 16 bits beside float32 for the rest: then y is too; on the CPU u
/// is widened exactly, and y is rounded once.
///
/// Errors     InvalidArgument if types, shapes or devices disagree; DeviceError on a GPU in a build
///            without CUDA. Second derivatives are not offered: asking for them throws c10::Error.
LtiScanOutput lti_scan(const torch::Tensor& u, const torch::Tensor& a, const torch::Tensor& c,
                       const torch::Tensor& d = {}, const torch::Tensor& h0 = {});

}  // namespace longwave::ops
