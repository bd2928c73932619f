// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/ops/attention/attention.h"
#include "longwave/ops/attention/rotary.h"

namespace longwave::ops {

/// Operands of attention as tensors; undefined ones are absent. The rows of k and v before the
/// last `time` are past ones, of which the newest `seen` count.
struct AttentionInput {
  double scale = 1;
  int64_t window = 1;
  torch::Tensor q;       ///< (batch, time, heads, head_dim)
  torch::Tensor k;       ///< (batch, past + time, kv_heads, head_dim)
  torch::Tensor v;       ///< (batch, past + time, kv_heads, head_dim)
  torch::Tensor seen;    ///< (batch) int64, or undefined: all past rows count
  torch::Tensor starts;  ///< (batch, time) uint8 or bool, or undefined
};

/// attention (see attention.h) as a torch function, differentiable in q, k and v, past rows
/// included; gives y, (batch, time, heads, head_dim). Float32 or float64; any strides will do.
///
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
torch::Tensor attention(const AttentionInput& input);

/// The past rows that a ring (batch, slots, kv_heads, head_dim) holds, oldest first, as attention
/// takes them before the steps' own: (batch, slots - 1, kv_heads, head_dim). Differentiable.
torch::Tensor unrolled_ring(const torch::Tensor& ring, const torch::Tensor& seen);

/// The ring after the steps whose rows are `rows`, (batch, time, kv_heads, head_dim), given the
/// counts before and after them; see push_keys. Differentiable.
struct RingUpdate {
  torch::Tensor ring;  ///< (batch, slots, kv_heads, head_dim)
  torch::Tensor rows;  ///< (batch, time, kv_heads, head_dim)
  torch::Tensor seen;  ///< (batch) int64, after the steps; see seen_after
};
torch::Tensor rolled_ring(const RingUpdate& update);

/// `seen` (batch) after `time` steps with `starts` (batch, time), which may be undefined.
torch::Tensor seen_after(const torch::Tensor& seen, int64_t time, const torch::Tensor& starts);

/// What rotary does, beside its operands.
struct RotarySettings {
  RotaryPairs pairs = RotaryPairs::kHalves;
  double base = 10000;
  int64_t dims = 0;
};

/// rotary (see rotary.h) on x (batch, time, heads, head_dim), differentiable in x; `start` (batch)
/// int64, or undefined for 0.
torch::Tensor rotary(const RotarySettings& settings, const torch::Tensor& x,
                     const torch::Tensor& start = {});

}  // namespace longwave::ops
