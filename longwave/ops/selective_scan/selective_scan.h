// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// How a step size comes from the operand dt and its bias.
enum class StepSize : uint8_t {
  kGiven,     ///< dt + dt_bias
  kSoftplus,  ///< log(1 + e^(dt + dt_bias)), without a cut-off
};

/// What a selective scan reads, for it and its gradient.
///
/// All operands may have any strides; kernels are fastest when channels and states are adjacent.
/// Channel c belongs to group c / (channels / groups).
template <typename T>
struct SelectiveScanInputs {
  StepSize step_size = StepSize::kSoftplus;
  View<const T, 3> u;        // (batch, time, channels)
  View<const T, 3> dt;       // (batch, time, channels)       before bias and softplus
  View<const T, 2> A;        // (channels, state)             < 0 for a decay
  View<const T, 4> B;        // (batch, time, groups, state)  channels % groups == 0
  View<const T, 4> C;        // (batch, time, groups, state)
  View<const T, 1> D;        // (channels), or absent for no skip
  View<const T, 1> dt_bias;  // (channels), or absent for 0
  View<const T, 3> z;        // (batch, time, channels), or absent for no gate
  View<const uint8_t, 2>
      starts;  // (batch, time), nonzero at the first step of a sequence; or absent
};

/// Selective scan, the core of Mamba: a diagonal recurrence whose step size, input map and readout
/// depend on the input.
///
///   s[t] = softplus(dt[t] + dt_bias)
///   h[t] = exp(s[t] A) h[t-1] + s[t] u[t] B[t]        h[t-1] = 0 where starts[t] is set
///   y[t] = (C[t] . h[t] + D u[t]) silu(z[t])
///
/// Source     Gu & Dao 2023, arXiv:2312.00752, section 3 and algorithm 2; B is discretised by
///            Euler's rule (s B), as in the published code.
/// Numerics   float: float32 throughout, exponentials within kExpRelativeError at the rounded
///            argument s A, decays below 2^-126 that or less; subnormals count as zero. double:
///            plain. y[t] never depends on a later input, not even in its last bit; a sequence
///            gives the same bits alone, in a batch and behind others by `starts`; nothing depends
///            on the number of threads.
/// Cost       an exponential and 4 multiply-adds a state and element; no allocation.
/// Errors     InvalidArgument if shapes disagree or groups do not divide channels. Extents of 0 and
///            1 are fine.
/// Threads    safe for distinct args; outputs must not overlap other operands.
template <typename T>
struct SelectiveScanArgs {
  SelectiveScanInputs<T> in;
  View<T, 3> h;       // (batch, channels, state) in: h[-1], out: h[time-1]
  View<T, 3> y;       // (batch, time, channels) out
  View<T, 4> states;  // (batch, chunks, state, channels) out: the state before each chunk of
                      // selective_scan_chunk(state) steps, for the gradient; or absent
};

/// Gradients of selective_scan with respect to everything that it reads.
///
///   dyg[t] = dy[t] silu(z[t])
///   g[t] = exp(s[t+1] A) g[t+1] + C[t] dyg[t]         g[time-1] = C dyg + dh
///   dB[t] = sum_c g[t] s[t] u[t]     dC[t] = sum_c dyg[t] h[t]         c: channels of a group
///   du[t] = s[t] (g[t] . B[t]) + D dyg[t]
///   ds[t] = u[t] (g[t] . B[t]) + sum_n A g[t] exp(s[t] A) h[t-1]
///   dA = sum_bt s[t] g[t] exp(s[t] A) h[t-1]          dD = sum_bt dyg[t] u[t]
///   ddt[t] = ds[t] sigmoid(dt[t] + dt_bias)           ddt_bias = sum_bt ddt[t]
///   dz[t] = dy[t] (C[t] . h[t] + D u[t]) silu'(z[t])  dh0 = exp(s[0] A) g[0]
///
/// States are computed again from those before each chunk; one chunk at a time is held.
///
/// Numerics   float: sums over time in float32 within a chunk and in double beyond, sums over
///            channels in float32; the order of all sums is fixed by the shapes, so the result
///            does not depend on the number of threads.
/// Cost       about 2.4 times the forward pass; scratch memory of about two states and
///            two megabytes, whatever the length; no allocation.
/// Errors     InvalidArgument if shapes disagree, or a gradient is absent or present otherwise than
///            its operand.
/// Threads    safe for distinct args; outputs must not overlap other operands, but ddt may be dt
///            and du may be dy.
template <typename T>
struct SelectiveScanGradArgs {
  SelectiveScanInputs<T> in;
  View<const T, 4> states;  // (batch, chunks, state, channels) as selective_scan gave them
  View<const T, 3> dy;      // (batch, time, channels)
  View<const T, 3> dh;      // (batch, channels, state) of the final state, or absent for 0
  View<T, 3> du;            // out, as u; may be dy
  View<T, 3> ddt;           // out, as dt; may be dt
  View<T, 2> dA;            // out, as A
  View<T, 4> dB;            // out, as B
  View<T, 4> dC;            // out, as C
  View<T, 1> dD;            // out, as D: absent if and only if D is
  View<T, 1> ddt_bias;      // out, as dt_bias: absent if and only if dt_bias is
  View<T, 3> dz;            // out, as z: absent if and only if z is
  View<T, 3> dh0;           // (batch, channels, state) out, of the state before the first step
};

/// The extents that scratch memory depends on.
struct SelectiveScanSize {
  int64_t batch, channels, groups, state;
};

/// Steps between two states that are kept for the gradient.
int64_t selective_scan_chunk(int64_t state);

/// States kept for the gradient of so many steps: the second extent of `states`.
int64_t selective_scan_chunks(int64_t time, int64_t state);

/// Scratch bytes that `selective_scan` takes at most, for any length.
size_t selective_scan_workspace_bytes(const SelectiveScanSize& size);

/// Scratch bytes that `selective_scan_backward` takes at most, for any length.
size_t selective_scan_backward_workspace_bytes(const SelectiveScanSize& size);

/// Runs the scan; see SelectiveScanArgs. Without steps (time 0) the state stays as it is.
void selective_scan(const SelectiveScanArgs<float>& args, Workspace& workspace);
void selective_scan(const SelectiveScanArgs<double>& args, Workspace& workspace);

/// Runs one step of the scan (time 1) without scratch memory; fastest when states are adjacent.
void selective_scan_step(const SelectiveScanArgs<float>& args);
void selective_scan_step(const SelectiveScanArgs<double>& args);

/// Computes the gradients; see SelectiveScanGradArgs.
void selective_scan_backward(const SelectiveScanGradArgs<float>& args, Workspace& workspace);
void selective_scan_backward(const SelectiveScanGradArgs<double>& args, Workspace& workspace);

}  // namespace longwave::ops
