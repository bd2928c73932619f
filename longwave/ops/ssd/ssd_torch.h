// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <limits>

namespace longwave::ops {

/// Operands of ssd as torch tensors, of float32 or of float64 all, or x, dt, B and C of
/// 16 bits beside float32; undefined ones are left out.
struct SsdInput {
  torch::Tensor x;        ///< (batch, time, heads, head_dim)
  torch::Tensor dt;       ///< (batch, time, heads) before bias, softplus and limits
  torch::Tensor A;        ///< (heads) negative
  torch::Tensor B;        ///< (batch, time, groups, state)
  torch::Tensor C;        ///< (batch, time, groups, state)
  torch::Tensor D;        ///< (heads), (heads, head_dim) or undefined for no skip
  torch::Tensor dt_bias;  ///< (heads), or undefined for zero
  torch::Tensor h0;       ///< (batch, heads, head_dim, state), or undefined for zero
  torch::Tensor starts;   ///< (batch, time) uint8 or bool, or undefined for none
  double dt_min = 0;
  double dt_max = std::numeric_limits<double>::infinity();
};

struct SsdOutput {
  torch::Tensor y;  ///< (batch, time, heads, head_dim)
  torch::Tensor h;  ///< (batch, heads, head_dim, state) the final state
};

/// ssd (see ssd.h) as a torch function, differentiable in every input through y and h.
///
/// Any strides will do, those of slices of one projection too; none of the inputs is changed.
/// float32 runs the SIMD kernel, float64 the recurrence, so that gradients can be checked by
/// finite differences. On a GPU float32 runs the CUDA kernels (ssd_cuda.h); float64, and what they
/// do not offer, is made of operations of torch (ssd_operations_torch.h). 16 bits run the CUDA
/// kernels as well; elsewhere it is widened exactly, and y is rounded once. Between forward and
/// backward the kernels keep only the inputs.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
SsdOutput ssd(const SsdInput& input);

/// Whether `ssd_into` and its gradients run for such signals, where they are, and that many states.
bool ssd_has_kernel(const torch::Tensor& x, int64_t state);

/// The scan outside of autograd, for functions that it is a part of: fills y and turns h from the
/// initial into the final state; in.h0 is not read.
void ssd_into(const SsdInput& in, const SsdOutput& out);

/// Its gradients outside of autograd, of everything but starts: `d` are those of the outputs, d.h
/// undefined for none; they fill `grads`, which has the shapes of `in`, any strides and always h0.
void ssd_gradients(const SsdInput& in, const SsdOutput& d, const SsdInput& grads);

}  // namespace longwave::ops
