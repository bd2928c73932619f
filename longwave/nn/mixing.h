// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/nn/linear.h"
#include "longwave/ops/elementwise/elementwise.h"

namespace longwave::nn {

/// How channels are mixed after the mixer has mixed time; v is the mixer's output, f the
/// activation, W a linear layer and s the sigmoid.
///
///   kNone      f(v)
///   kLinear    W f(v)
///   kGlu       a s(b),  (a, b) = W f(v)      W doubles the channels: S4
///   kHalfGlu1  f(v) s(W f(v))                S5
///   kHalfGlu2  v s(W f(v))                   S5
enum class MixingKind : uint8_t { kNone, kLinear, kGlu, kHalfGlu1, kHalfGlu2 };

/// "none", "linear", "glu", "half_glu1" or "half_glu2"; the text must be one of them.
MixingKind mixing_kind(std::string_view text);

/// "none", "gelu" or "silu"; the text must be one of them.
ops::Activation activation_of(std::string_view text);

/// weight and bias of W; nothing for kNone.
ParameterTable mixing_parameters(MixingKind kind, int64_t channels);

/// The end of a block's residual branch: x += mixing(v).
///
/// Source     Gu et al. 2021, arXiv:2111.00396 (kGlu); Smith et al. 2022, arXiv:2208.04933,
///            appendix G.1 (half gates).
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads with distinct workspaces.
class Mixing {
 public:
  Mixing(const Weights& weights, MixingKind kind, ops::Activation activation, int64_t channels);

  size_t workspace_bytes(int64_t rows) const;

  /// x (rows, channels) in and out, v (rows, channels) dense. Never allocates for few rows.
  void apply(View<float, 2> x, View<const float, 2> v, Workspace& workspace) const;

 private:
  MixingKind kind_;
  ops::Activation activation_;
  int64_t channels_;
  std::optional<Linear> linear_;
};

}  // namespace longwave::nn
