// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace longwave::ops {

/// dplr_kernel.h as a differentiable function of all its operands.
///
/// Shapes     Lambda, B, Ct (channels, modes) and P (rank, channels, modes) or undefined, complex;
///            dt (channels) real; result (channels, length). Expanded operands are welcome.
/// Numerics   complex64: SIMD kernel; complex128: plain sums, for gradient checks.
/// Errors     InvalidArgument if shapes or types disagree or length < 1.
struct DplrKernelCall {
  torch::Tensor Lambda;
  torch::Tensor P;
  torch::Tensor B;
  torch::Tensor Ct;
  torch::Tensor dt;
  int64_t length = 0;
};
torch::Tensor dplr_kernel(const DplrKernelCall& call);

}  // namespace longwave::ops
