// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Where the gate of gated_norm stands.
enum class GateOrder : uint8_t {
  kBefore,  ///< the gated signal is normalised
  kAfter,   ///< the normalised signal is gated
};

/// Root-mean-square normalisation in groups of channels with a gate: the end of a Mamba-2 mixer.
///
///   rms(v)[c] = v[c] / sqrt(mean over c's group of v^2 + epsilon)
///   kBefore   y = rms(x silu(z)) w
///   kAfter    y = rms(x) w silu(z)              silu(z) = z sigmoid(z); 1 where z is absent
///
/// Group g holds channels [g channels / groups, (g + 1) channels / groups).
///
/// Source     Dao & Gu 2024, arXiv:2405.21060, section 7; Zhang & Sennrich 2019, arXiv:1910.07467.
/// Numerics   float: float32 sums. double: plain.
/// Cost       one pass over memory and one exponential an element; no allocation. Operands whose
///            channels are not adjacent run through the reference.
/// Errors     InvalidArgument if shapes disagree or channels is no multiple of groups.
/// Threads    safe for distinct outputs; the result does not depend on the number of threads.
template <typename T>
struct GatedNormArgs {
  GateOrder order = GateOrder::kBefore;
  int64_t groups = 1;
  T epsilon = T(1e-5);
  View<const T, 2> x;  // (rows, channels)
  View<const T, 2> z;  // (rows, channels), or absent for no gate
  View<const T, 1> w;  // (channels)
  View<T, 2> y;        // (rows, channels) out; may be x
  View<T, 2> inverse;  // (rows, groups) out: 1 / sqrt(...) for the gradient; or absent
};
template <typename T>
void gated_norm(const GatedNormArgs<T>& args);

/// Gradients of gated_norm, from the inverses that it kept. With u the normalised signal, s =
/// silu(z) and means over a group:
///
///   kBefore   g = dy w     dv = inverse (g - u mean(g u))   dx = dv s   dz = dv x silu'(z)
///             dw = sum over rows of dy u
///   kAfter    g = dy w s   dx = inverse (g - u mean(g u))   dz = dy w u silu'(z)
///             dw = sum over rows of dy u s
///
/// Numerics   float: dw is summed in float32 within kGatedNormPieces fixed pieces of the rows and
///            in double over them.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    as gated_norm; outputs must not overlap other operands.
template <typename T>
struct GatedNormGradArgs {
  GateOrder order = GateOrder::kBefore;
  View<const T, 2> x;        // (rows, channels)
  View<const T, 2> z;        // (rows, channels), or absent
  View<const T, 1> w;        // (channels)
  View<const T, 2> inverse;  // (rows, groups)
  View<const T, 2> dy;       // (rows, channels)
  View<T, 2> dx;             // (rows, channels) out
  View<T, 2> dz;             // (rows, channels) out; absent if z is
  View<T, 1> dw;             // (channels) out
};
template <typename T>
void gated_norm_backward(const GatedNormGradArgs<T>& args, Workspace& workspace);

/// Scratch bytes that the backward pass takes.
size_t gated_norm_backward_workspace_bytes(int64_t channels);

}  // namespace longwave::ops
