// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/ops/long_conv/fft.h"

namespace longwave::ops {

/// Convolution along time with kernels as long as the sequence: the convolutional view of a layer.
///
///   y[t] = sum_{l<=t} K[l] u[t-l] + sum_{l>=0} K_ahead[l] u[t+1+l] + d u[t]
///
/// Taps beyond the sequence do nothing; a kernel may be shorter than the sequence. The second
/// kernel makes a layer bidirectional at no extra cost: lag 0 belongs to the first one. Operands
/// may have any strides; it is fastest when channels are adjacent in u and y.
///
/// Source     Gu et al. 2022, arXiv:2111.00396 (S4), section 2.4; right-angle convolution: fft.h.
/// Numerics   float32: error about eps log2(time) (|K| + |d|) |u| in the 2-norm over time, as d is
///            transformed like one more tap; double: the direct sum.
///            A later input changes an earlier output by rounding.
/// Cost       3 log2(time) vector operations a sample for each of the transforms of u and y,
///            and the transform of K once a group of channels; no allocation.
/// Errors     InvalidArgument if shapes disagree or the plan does not fit the sequence.
/// Threads    parallel over groups of channels; the result does not depend on how many.
template <typename T>
struct LongConvArgs {
  View<const T, 3> u;             // (batch, time, channels)
  View<const T, 2> K;             // (channels, kernel_length)
  View<const T, 2> K_ahead;       // (channels, any length), or absent for a causal layer
  View<const T, 1> d;             // (channels), or absent for no skip
  View<T, 3> y;                   // (batch, time, channels) out
  const FftPlan* plan = nullptr;  // long_conv_plan(time); not needed in double
};

/// Gradients of long_conv. Outputs are overwritten.
template <typename T>
struct LongConvGradArgs {
  View<const T, 3> u;
  View<const T, 2> K;
  View<const T, 2> K_ahead;
  View<const T, 1> d;
  View<const T, 3> dy;  // (batch, time, channels)
  View<T, 3> du;        // (batch, time, channels)
  View<T, 2> dK;        // (channels, kernel_length)
  View<T, 2> dK_ahead;  // absent if K_ahead is
  View<T, 1> dd;        // absent if d is
  const FftPlan* plan = nullptr;
};

/// The transform that a sequence of this length needs; belongs to the caller, who may keep it.
FftPlan long_conv_plan(int64_t time);

/// Bytes of workspace for each thread; with more than one thread's worth, as many threads run.
size_t long_conv_worker_bytes(int64_t time);

/// Bytes of workspace that let all threads run.
size_t long_conv_workspace_bytes(int64_t time);

void long_conv(const LongConvArgs<float>& args, Workspace& workspace);
void long_conv(const LongConvArgs<double>& args, Workspace& workspace);
void long_conv_grad(const LongConvGradArgs<float>& args, Workspace& workspace);
void long_conv_grad(const LongConvGradArgs<double>& args, Workspace& workspace);

/// The formula, line by line; float and double.
template <typename T>
void long_conv_ref(const LongConvArgs<T>& args);
template <typename T>
void long_conv_grad_ref(const LongConvGradArgs<T>& args);

/// SIMD over channels, behind long_conv: no checks.
void long_conv_cpu(const LongConvArgs<float>& args, Workspace& workspace);
void long_conv_grad_cpu(const LongConvGradArgs<float>& args, Workspace& workspace);

}  // namespace longwave::ops
