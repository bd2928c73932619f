// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Extents of an ssd; heads are split evenly over groups: head i uses group i / (heads / groups).
struct SsdSize {
  int64_t batch = 0;
  int64_t time = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t groups = 0;
  int64_t state = 0;
};

/// Bounds of a step size after softplus.
template <typename T>
struct SsdLimits {
  T least = 0;
  T most = std::numeric_limits<T>::infinity();
};

/// State space duality, the core of Mamba-2: a scan whose decay is one scalar per head.
///
///   d[t] = min(max(softplus(dt[t] + dt_bias), least), most)
///   h[t] = exp(d[t] A) h[t-1] + d[t] x[t] B[t]^T        h: (head_dim, state)
///   y[t] = h[t] C[t] + D x[t]
///
/// Where starts[t] is not zero a new sequence begins, and h[t-1] counts as zero. All operands may
/// have any strides, slices of one projection for instance.
///
/// Source     Dao & Gu 2024, arXiv:2405.21060, section 6 (chunked form).
/// Numerics   float: chunks of at most kSsdChunk steps, which restart at each start, so that packed
///            sequences give the bits of separate ones; sums in float32, the decay of a chunk in
///            double; subnormals count as zero. double: the recurrence. y[t] never depends on later
///            steps, and nothing depends on the number of threads.
/// Cost       with Q = kSsdChunk: about heads head_dim ((Q + 1) / 2 + 2 state) + groups state
///            (Q + 1) / 2 multiply-adds a step; no allocation.
/// Errors     InvalidArgument if shapes disagree or heads % groups != 0. Extents of 0 and 1 are
///            fine.
/// Threads    safe for distinct args; h and y must not overlap other operands.
template <typename T>
struct SsdArgs {
  View<const T, 4> x;             // (batch, time, heads, head_dim)
  View<const T, 3> dt;            // (batch, time, heads)        before bias, softplus and limits
  View<const T, 1> A;             // (heads)                     decay rate, negative
  View<const T, 4> B;             // (batch, time, groups, state)
  View<const T, 4> C;             // (batch, time, groups, state)
  View<const T, 2> D;             // (heads, head_dim or 1), or absent for no skip
  View<const T, 1> dt_bias;       // (heads), or absent for zero
  View<const uint8_t, 2> starts;  // (batch, time), or absent for none
  SsdLimits<T> limits;
  View<T, 4> h;  // (batch, heads, head_dim, state) in: h[-1], out: h[time-1]
  View<T, 4> y;  // (batch, time, heads, head_dim)  out
};

/// Gradients of ssd with respect to all its inputs, from those of y and of the final state.
///
///   g[t] = exp(d[t+1] A) g[t+1] + dy[t] C[t]^T      g[time-1] = dh + dy[time-1] C[time-1]^T
///   e[t] = exp(d[t] A) <g[t], h[t-1]>               dh0 = exp(d[0] A) g[0]
///   dx[t] = d[t] g[t] B[t] + D dy[t]                dD = sum dy[t] x[t]
///   dB[t] = d[t] sum g[t]^T x[t]                    dC[t] = sum h[t]^T dy[t]
///   dA = sum d[t] e[t]                              ddt_bias = sum ddt[t]
///   ddt[t] = (x[t]^T g[t] B[t] + A e[t]) sigmoid(dt[t] + dt_bias), or 0 outside the limits
///
/// where sums run over the heads of a group, or over batch and time. Nothing passes a start: g[t-1]
/// takes nothing from g[t], and e[t] is 0. The states that the forward pass went through are
/// computed again; of a stretch of about a thousand steps at a time, one in kSsdChunk of h and of g
/// is kept.
///
/// Numerics   float: as ssd; sums over batch and time in double beyond a chunk. The order of all
///            sums is fixed by the shapes and the starts.
/// Cost       about 2.7 times the forward pass; no allocation in float32.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct args; outputs must not overlap other operands.
template <typename T>
struct SsdGradArgs {
  View<const T, 4> x;             // (batch, time, heads, head_dim)
  View<const T, 3> dt;            // (batch, time, heads)
  View<const T, 1> A;             // (heads)
  View<const T, 4> B;             // (batch, time, groups, state)
  View<const T, 4> C;             // (batch, time, groups, state)
  View<const T, 2> D;             // (heads, head_dim or 1), or absent
  View<const T, 1> dt_bias;       // (heads), or absent
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  SsdLimits<T> limits;
  View<const T, 4> h0;  // (batch, heads, head_dim, state) h[-1], or absent for zero
  View<const T, 4> dy;  // (batch, time, heads, head_dim)
  View<const T, 4> dh;  // (batch, heads, head_dim, state) of the final state, or absent for zero
  View<T, 4> dx;        // out, as x
  View<T, 3> ddt;       // out, as dt
  View<T, 1> dA;        // out, as A
  View<T, 4> dB;        // out, as B
  View<T, 4> dC;        // out, as C
  View<T, 2> dD;        // out, as D: absent if and only if D is
  View<T, 1> ddt_bias;  // out, as dt_bias: absent if and only if dt_bias is
  View<T, 4> dh0;       // out, as h
};

/// Steps of a chunk of the float kernels.
inline constexpr int64_t kSsdChunk = 64;

/// Scratch bytes that `ssd` takes at most on the present number of threads; with less, down to the
/// share of one thread, it runs on fewer.
size_t ssd_workspace_bytes(const SsdSize& size);

/// Scratch bytes that `ssd_backward` takes at most on the present number of threads: mostly two
/// states in kSsdChunk steps, of a thousand steps of as few sequences as keep the threads busy.
size_t ssd_backward_workspace_bytes(const SsdSize& size);

/// Runs the scan; see SsdArgs. Without steps (time 0) the state stays as it is.
void ssd(const SsdArgs<float>& args, Workspace& workspace);
void ssd(const SsdArgs<double>& args, Workspace& workspace);

/// Runs one step of the scan (time 1) without scratch memory, limits and starts included; `ssd`
/// does the same when time is 1.
void ssd_step(const SsdArgs<float>& args);
void ssd_step(const SsdArgs<double>& args);

/// Computes the gradients; see SsdGradArgs.
void ssd_backward(const SsdGradArgs<float>& args, Workspace& workspace);
void ssd_backward(const SsdGradArgs<double>& args, Workspace& workspace);

}  // namespace longwave::ops
