// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "longwave/base/matrix.h"
#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/nn/mlp.h"
#include "longwave/ops/moe/moe.h"

namespace longwave::nn {

/// How the numbers that a router gives become shares.
///
///   kSoftmax  p = softmax(router h); chosen: the largest p
///   kSigmoid  p = sigmoid(router h); chosen: the largest p + bias, a vector of the router's
enum class Router : uint8_t { kSoftmax, kSigmoid };

/// What a mixture of experts is made of.
struct MoeConfig {
  MlpKind kind = MlpKind::kGelu;
  int64_t channels = 1;
  int64_t hidden = 1;  ///< channels inside an expert; 0 from a section: as an MLP
  int64_t experts = 1;
  int64_t chosen = 1;       ///< experts that see a step
  bool renormalise = true;  ///< whether the chosen experts' shares are made to sum to 1
  Router router = Router::kSoftmax;
  float scale = 1;     ///< multiplies all shares
  double balance = 0;  ///< weight of the balance in the training loss
  int64_t shared = 0;  ///< channels inside the expert that sees every step; 0: there is none

  ops::RouterWeights weights() const {
    return renormalise ? ops::RouterWeights::kOfChosen : ops::RouterWeights::kOfAll;
  }

  /// From a section that obeys `moe_schema`.
  ///
  /// Errors     ConfigError if more experts are chosen than there are.
  static MoeConfig from(const Options& section);
};

/// experts, chosen, hidden, router, renormalise, scale, balance, shared.
Schema moe_schema();

/// router.weight (experts, channels), with kSigmoid router.bias (experts), up.weight (experts,
/// hidden or 2 hidden, channels), down.weight (experts, channels, hidden), and with an expert for
/// every step shared.up.weight, shared.down.weight.
ParameterTable moe_parameters(const MoeConfig& config);

/// Experts of which each step sees a few: x += sum over chosen e of share[e] expert_e(h).
///
///   p and the choice as the Router says, of equal ones the first (ops::route)
///   share = scale p, or scale p / (sum of the chosen p)
///   expert_e(h) = down_e f(up_e h), as an Mlp without biases
///
/// An expert for every step adds shared(h), an Mlp of its own width without biases.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Source     Shazeer et al. 2017, arXiv:1701.06538; Jiang et al. 2024, arXiv:2401.04088
///            (renormalised shares); Pióro et al. 2024, arXiv:2401.04081 (with Mamba); Dai et al.
///            2024, arXiv:2401.06066 (shared experts); DeepSeek-AI 2024, arXiv:2412.19437
///            (kSigmoid).
/// Numerics   as ops::route and ops::combine: a row adds its experts from the best down.
/// Cost       chosen experts' products for each row, and experts * channels for the router.
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads with distinct workspaces.
class Moe {
 public:
  Moe(const Weights& weights, const MoeConfig& config);

  size_t workspace_bytes(int64_t rows) const;

  /// x (rows, channels) in and out, h (rows, channels), not the same. Never allocates for few rows.
  void apply(View<float, 2> x, View<const float, 2> h, Workspace& workspace) const;

 private:
  /// Experts and shares of each row; `counts` says how often each was chosen.
  struct Choice {
    View<int64_t, 2> chosen;  // (rows, chosen)
    View<float, 2> shares;    // (rows, chosen)
    View<int64_t, 1> counts;  // (experts)
  };
  void choose(View<const float, 2> h, const Choice& choice, Workspace& workspace) const;
  /// Writes what expert `e` makes of its rows.
  void run_expert(int64_t e, View<const float, 2> rows, View<float, 2> inner,
                  View<float, 2> out) const;

  MoeConfig config_;
  int64_t up_outputs_;
  View<const float, 1> router_bias_;  // kSigmoid only
  Matrix router_;
  Matrix up_, down_;  // those of all experts below each other
  std::optional<Mlp> shared_;
};

}  // namespace longwave::nn
