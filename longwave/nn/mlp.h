// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/nn/adapter.h"
#include "longwave/nn/linear.h"

namespace longwave::nn {

/// The position-wise network of a block; `hidden` channels inside.
///
///   kGelu    down gelu(up h)                        up (hidden, channels)
///   kSwiglu  down (a silu(b)),  (a, b) = up h       up (2 hidden, channels)
///   kGeglu   down (a gelu(b)),  (a, b) = up h       up (2 hidden, channels), gelu exact, by erf
///   kRelu2   down max(up h, 0)^2                    up (hidden, channels)
enum class MlpKind : uint8_t { kGelu, kSwiglu, kGeglu, kRelu2 };

/// "gelu", "swiglu", "geglu" or "relu2"; the text must be one of them.
MlpKind mlp_kind(std::string_view text);

/// What an MLP is made of.
struct MlpConfig {
  MlpKind kind = MlpKind::kGelu;
  int64_t channels = 1;
  int64_t hidden = 1;  ///< channels inside
  LinearBias bias = LinearBias::kPresent;

  /// Fixed factors on b before its activation (kSwiglu), and on the outcome.
  struct Multipliers {
    float gate = 1, down = 1;
  };
  Multipliers multipliers = {};
};

/// Rows of `up`.
int64_t up_outputs(MlpKind kind, int64_t hidden);

/// What lies between `up` and `down`, in place: rows (up_outputs), of which the first `hidden`
/// entries are the result.
void apply_inner(MlpKind kind, View<float, 2> rows, int64_t hidden);

/// up.weight, down.weight, and unless there are none up.bias, down.bias.
ParameterTable mlp_parameters(const MlpConfig& config);

/// The second residual branch of a block: x += mlp(h).
///
/// Source     Shazeer 2020, arXiv:2002.05202 (kSwiglu, kGeglu); So et al. 2021, arXiv:2109.08668
///            (kRelu2).
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads with distinct workspaces.
class Mlp {
 public:
  Mlp(const Weights& weights, const MlpConfig& config);

  /// Adds a low-rank map to `up` from now on.
  void adapt(Adapter adapter) { adapter_ = adapter; }

  size_t workspace_bytes(int64_t rows) const;

  /// x (rows, channels) in and out, h (rows, channels), not the same. Never allocates for few rows.
  void apply(View<float, 2> x, View<const float, 2> h, Workspace& workspace) const;

 private:
  MlpConfig config_;
  Linear up_;
  Linear down_;
  std::optional<Adapter> adapter_;
};

}  // namespace longwave::nn
