// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

struct LinearScanOutput {
  torch::Tensor h;      ///< (batch, time, channels) every state
  torch::Tensor final;  ///< (batch, channels) the last one, or h0 if there are no steps
};

/// linear_scan (see linear_scan.h) as a torch function, differentiable in every input through h and
/// final.
///
///   a (batch or 1, time or 1, channels), or (channels) for one factor everywhere,
///   b (batch, time, channels), h0 (batch, channels) or undefined for zero.
///
/// All are float32, float64 or complex of these, of one type, on a GPU of single precision; or b of
/// 16 bits beside a of 16 bits or float32 and h0 in float32, for h of 16 bits and final in float32:
/// they are widened exactly, and h is rounded once. Any strides will do. Where a has extent 1, its
/// gradient is summed inside, without a temporary of the extents of b: so do not expand it before
/// the call.
///
/// Numerics   as linear_scan.h says, and on a GPU linear_scan_cuda.h. There a and b of one 16-bit
///            type are read as they are, and the gradient of a is found from h as it was rounded;
///            all else of 16 bits passes through float32, and that gradient is found from h before.
///
/// Errors     InvalidArgument if types, shapes or devices disagree. Second derivatives are not
///            offered: asking for them throws c10::Error.
LinearScanOutput linear_scan(const torch::Tensor& a, const torch::Tensor& b,
                             const torch::Tensor& h0 = {});

}  // namespace longwave::ops
