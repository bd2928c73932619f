// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// The recurrent half of an LSTM layer, over any number of steps.
///
///   (i, f, g, o) = p[t] + W h[t-1];  i, f, o through the sigmoid, g through tanh
///   c[t] = f c[t-1] + i g
///   h[t] = o tanh(c[t])
///
/// `p` holds the projected inputs with their bias, made by one product for all steps. Where
/// `starts` is nonzero the step finds h and c at zero.
///
/// Source     Hochreiter & Schmidhuber 1997; gates ordered as in torch.nn.LSTM.
/// Numerics   tanh(x) = 2 sigmoid(2 x) - 1: an absolute error of a few units of 2^-24.
/// Cost       4 hidden^2 multiply-adds a step and sequence; no allocation.
/// Errors     InvalidArgument if extents disagree or the last extents are not adjacent.
/// Threads    safe for distinct outputs; the result does not depend on the number of threads.
template <typename T>
struct LstmScanArgs {
  View<const T, 3> p;             // (batch, time, 4 hidden) as i, f, g, o
  View<const T, 2> W;             // (4 hidden, hidden)
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<T, 2> h;                   // (batch, hidden) in: before, out: after
  View<T, 2> c;                   // (batch, hidden) in: before, out: after
  View<T, 3> y;                   // (batch, time, hidden) out: h[t]
  View<T, 3> gates;  // (batch, time, 4 hidden) out, for the gradient; a time stride of 0 keeps the
                     // last step's only
  View<T, 3> cells;  // (batch, time, hidden) out: c[t], or absent
};
template <typename T>
void lstm_scan(const LstmScanArgs<T>& args);

/// Gradients of `lstm_scan`. That of W is sum dp[b, t] h[b, t-1]^T, one product for the caller.
template <typename T>
struct LstmScanGradArgs {
  View<const T, 3> gates;         // (batch, time, 4 hidden) as the forward pass left them
  View<const T, 3> cells;         // (batch, time, hidden)
  View<const T, 2> c0;            // (batch, hidden)
  View<const T, 2> Wt;            // (hidden, 4 hidden), the transpose of W
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<const T, 3> dy;            // (batch, time, hidden)
  View<T, 2> dh;                  // (batch, hidden) in: of h after, out: of h before
  View<T, 2> dc;                  // (batch, hidden) in: of c after, out: of c before
  View<T, 3> dp;                  // (batch, time, 4 hidden) out
};
template <typename T>
size_t lstm_scan_grad_workspace_bytes(int64_t batch, int64_t hidden);
template <typename T>
void lstm_scan_grad(const LstmScanGradArgs<T>& args, Workspace& workspace);

/// The recurrent half of a GRU layer, over any number of steps.
///
///   r = sigmoid(p_r + W_r h[t-1]),   z = sigmoid(p_z + W_z h[t-1]),   m = W_n h[t-1] + b
///   n = tanh(p_n + r m)
///   h[t] = (1 - z) n + z h[t-1]
///
/// Source     Cho et al. 2014, arXiv:1406.1078, with the reset gate after the product and gates
///            ordered as in torch.nn.GRU.
/// Numerics, Errors, Threads as lstm_scan; 3 hidden^2 multiply-adds a step and sequence.
template <typename T>
struct GruScanArgs {
  View<const T, 3> p;             // (batch, time, 3 hidden) as r, z, n
  View<const T, 2> W;             // (3 hidden, hidden)
  View<const T, 1> b;             // (hidden)
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<T, 2> h;                   // (batch, hidden) in: before, out: after
  View<T, 3> y;                   // (batch, time, hidden) out: h[t]
  View<T, 3> gates;               // (batch, time, 4 hidden) out: r, z, m, n, as those of lstm_scan
};
template <typename T>
void gru_scan(const GruScanArgs<T>& args);

/// Gradients of `gru_scan`. That of W is sum d[b, t, :3 hidden] h[b, t-1]^T, that of b the sum of
/// the third quarter of d, that of p its first, second and fourth.
template <typename T>
struct GruScanGradArgs {
  View<const T, 3> gates;         // (batch, time, 4 hidden) as the forward pass left them
  View<const T, 3> y;             // (batch, time, hidden) likewise
  View<const T, 2> h0;            // (batch, hidden)
  View<const T, 2> Wt;            // (hidden, 3 hidden), the transpose of W
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<const T, 3> dy;            // (batch, time, hidden)
  View<T, 2> dh;                  // (batch, hidden) in: of h after, out: of h before
  View<T, 3> d;                   // (batch, time, 4 hidden) out: before the gates r, z, m, n
};
template <typename T>
void gru_scan_grad(const GruScanGradArgs<T>& args);

}  // namespace longwave::ops
