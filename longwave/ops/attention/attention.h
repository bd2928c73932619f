// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Causal attention with grouped queries and a sliding window.
///
///   y[t, h] = sum_j softmax_j(scale q[t, h] . k[j, g]) v[j, g]     g = h kv_heads / heads
///
/// over the keys j that step t sees: itself and the window - 1 before, none before the start of its
/// sequence. Positions count from step 0; those before it are negative and lie in one of two
/// places. Training gives them as the first rows of k and v, oldest first. A stream gives a ring:
/// position p of the stream lies in slot p mod slots, and `seen` positions came before step 0.
///
/// Source     Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023, arXiv:2305.13245 (grouped
///            queries); Beltagy et al. 2020, arXiv:2004.05150 (window); Dao 2023, arXiv:2307.08691
///            (softmax over blocks).
/// Numerics   float: float32 sums; the softmax is carried over blocks of keys with its maximum
///            taken out; subnormals count as zero. double: plain. y[t] never depends on later
///            (finite) operands, and nothing depends on the number of threads.
/// Cost       4 min(t, window) head_dim operations a query and an exponential a pair; scratch of a
///            few hundred kilobytes a thread whatever the lengths; no allocation. Operands whose
///            last extent is not adjacent run through the reference.
/// Errors     InvalidArgument if shapes disagree, heads is no multiple of kv_heads, window < 1, the
///            ring has fewer slots than the window, or ring and past rows are both given. Extents
///            of 0 and 1 are fine.
/// Threads    safe for distinct args; outputs must not overlap other operands.
template <typename T>
struct AttentionArgs {
  T scale = T(1);
  int64_t window = 1;
  View<const T, 4> q;             // (batch, time, heads, head_dim)
  View<const T, 4> k;             // (batch, past + time, kv_heads, head_dim)
  View<const T, 4> v;             // (batch, past + time, kv_heads, head_dim)
  View<const T, 4> ring_k;        // (batch, slots, kv_heads, head_dim), or absent
  View<const T, 4> ring_v;        // (batch, slots, kv_heads, head_dim), or absent
  View<const int64_t, 1> seen;    // (batch) positions before step 0 that count; absent: all past
  View<const uint8_t, 2> starts;  // (batch, time) nonzero: first step of a sequence; or absent
  View<T, 4> y;                   // (batch, time, heads, head_dim) out
  View<T, 3> lse;                 // (batch, heads, time) out: log of the softmax's sum; or absent
};

/// Gradients of attention over past rows and steps, from y and lse. With p the weights,
///
///   dv[j] = sum p dy     ds = p (dy . v[j] - dy . y) scale     dq = sum ds k     dk = sum ds q
///
/// Numerics   float: float32 sums in an order fixed by the shapes.
/// Cost       2.5 times the forward pass; the weights are computed anew. Sequences and key heads
///            run side by side, the steps of one do not.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    as attention; outputs must not overlap other operands.
template <typename T>
struct AttentionGradArgs {
  T scale = T(1);
  int64_t window = 1;
  View<const T, 4> q;             // (batch, time, heads, head_dim)
  View<const T, 4> k;             // (batch, past + time, kv_heads, head_dim)
  View<const T, 4> v;             // (batch, past + time, kv_heads, head_dim)
  View<const int64_t, 1> seen;    // (batch) positions before step 0 that count; absent: all past
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<const T, 4> y;             // (batch, time, heads, head_dim) from attention
  View<const T, 3> lse;           // (batch, heads, time) from attention
  View<const T, 4> dy;            // (batch, time, heads, head_dim)
  View<T, 4> dq;                  // (batch, time, heads, head_dim) out
  View<T, 4> dk;                  // (batch, past + time, kv_heads, head_dim) out
  View<T, 4> dv;                  // (batch, past + time, kv_heads, head_dim) out
};

/// Writes the steps' keys and values into the rings and counts them in `seen`, which starts anew
/// at 0 where a sequence starts: what attention of the next steps wants.
///
/// Cost       a copy of the last `slots` steps at most; no allocation.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct rings.
template <typename T>
struct KeyRingArgs {
  View<const T, 4> k;             // (batch, time, kv_heads, head_dim)
  View<const T, 4> v;             // (batch, time, kv_heads, head_dim)
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<T, 4> ring_k;              // (batch, slots, kv_heads, head_dim) in and out
  View<T, 4> ring_v;              // (batch, slots, kv_heads, head_dim) in and out
  View<int64_t, 1> seen;          // (batch) in and out
};

/// Extents that the scratch of attention depends on.
struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t batch = 1;  ///< sequences that take a step together
};
size_t attention_workspace_bytes(const AttentionShape& shape);
size_t attention_backward_workspace_bytes(const AttentionShape& shape);

/// Runs attention; see AttentionArgs. With time 1 it is the step of a stream.
template <typename T>
void attention(const AttentionArgs<T>& args, Workspace& workspace);

/// Computes the gradients; see AttentionGradArgs.
template <typename T>
void attention_backward(const AttentionGradArgs<T>& args, Workspace& workspace);

/// Brings rings up to date; see KeyRingArgs.
template <typename T>
void push_keys(const KeyRingArgs<T>& args);

}  // namespace longwave::ops
