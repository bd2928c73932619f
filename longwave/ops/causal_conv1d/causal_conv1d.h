// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// What follows the sum of causal_conv1d.
enum class ConvActivation : uint8_t { kNone, kSilu };

/// Short depthwise convolution that looks back only: the local mixing of Mamba, H3 and their kin.
///
///   a[t, c] = b[c] + sum_k w[c, k] x[t - width + 1 + k, c]      y = a or silu(a) = a sigmoid(a)
///
/// Inputs before the first step come from `history`, oldest first. Where starts[t] is set, step t
/// begins a new sequence: nothing before t reaches t or later steps. `final_history` is what a
/// next call wants as history: the last width - 1 inputs, zero where a start lies after them.
///
/// Source     Gu & Dao 2023, arXiv:2312.00752, section 3.4 (the local convolution).
/// Numerics   float: fused multiply-adds in float32 from the bias on, oldest tap first, so that a
///            split or packed run has the same bits; subnormals count as zero. double: plain.
/// Cost       width multiply-adds an element, one read and one write of memory; no allocation.
///            Operands whose channels are not adjacent, and widths above 128, run through the
///            reference.
/// Errors     InvalidArgument if shapes disagree or width is 0. Extents of 0 and 1 are fine.
/// Threads    safe for distinct args; the result does not depend on the number of threads. y must
///            not overlap other operands; final_history may be history.
template <typename T>
struct CausalConv1dArgs {
  ConvActivation activation = ConvActivation::kNone;
  View<const T, 3> x;             // (batch, time, channels)
  View<const T, 2> w;             // (channels, width)
  View<const T, 1> b;             // (channels), or absent for zero
  View<const T, 3> history;       // (batch, width - 1, channels), or absent for zero
  View<const uint8_t, 2> starts;  // (batch, time) nonzero: first step of a sequence; or absent
  View<T, 3> y;                   // (batch, time, channels) out
  View<T, 3> final_history;       // (batch, width - 1, channels) out, or absent if not wanted
};

/// Gradients of causal_conv1d; with da = dy act'(a), which is computed anew,
///
///   dx[j] = sum_k w[k] da[j + width - 1 - k] + dfinal[j - time + width - 1]
///   dw[k] = sum_t da[t] x[t - width + 1 + k]      db = sum_t da[t]
///
/// dhistory is dx of the inputs before the first step.
///
/// Numerics   float: dw and db are summed in float32 within 256 steps and in double beyond, in an
///            order fixed by the shapes.
/// Cost       three passes over memory (x, dy, dx).
/// Errors     InvalidArgument if shapes disagree.
/// Threads    as causal_conv1d; outputs must not overlap other operands.
template <typename T>
struct CausalConv1dGradArgs {
  ConvActivation activation = ConvActivation::kNone;
  View<const T, 3> x;             // (batch, time, channels)
  View<const T, 2> w;             // (channels, width)
  View<const T, 1> b;             // (channels), or absent for zero
  View<const T, 3> history;       // (batch, width - 1, channels), or absent for zero
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<const T, 3> dy;            // (batch, time, channels)
  View<const T, 3> dfinal;        // (batch, width - 1, channels), or absent for zero
  View<T, 3> dx;                  // (batch, time, channels) out
  View<T, 2> dw;                  // (channels, width) out
  View<T, 1> db;                  // (channels) out, or absent
  View<T, 3> dhistory;            // (batch, width - 1, channels) out, or absent
};

/// What the workspace of the backward pass depends on.
struct CausalConv1dShape {
  int64_t batch = 0;
  int64_t time = 0;
  int64_t channels = 0;
  int64_t width = 0;
};
size_t causal_conv1d_backward_workspace_bytes(const CausalConv1dShape& shape);

/// Runs the convolution; see CausalConv1dArgs. With time 1 it is the step of a stream.
template <typename T>
void causal_conv1d(const CausalConv1dArgs<T>& args);

/// Computes the gradients; see CausalConv1dGradArgs.
template <typename T>
void causal_conv1d_backward(const CausalConv1dGradArgs<T>& args, Workspace& workspace);

}  // namespace longwave::ops
