// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/mixers/attention/attention.h"
#include "longwave/nn/mlp.h"
#include "longwave/nn/norm.h"

namespace longwave::models {

/// What a model's options say about its shared transformer blocks, read once.
struct SharedConfig {
  int64_t blocks;  ///< sets of weights; calls take them in turn
  int64_t channels;
  nn::NormKind norm;
  float norm_epsilon;
  mixers::attention::Shapes attention;  ///< of twice the channels
  nn::MlpConfig mlp;
  int64_t adapter_rank;
  bool adapts_attention;

  /// From "shared.*", "attention.*" and "model.*".
  ///
  /// Errors     ConfigError if they contradict each other.
  explicit SharedConfig(const Options& options);
};

/// blocks, adapter_rank, adapt_attention.
Schema shared_schema();

/// What all calls of a block share: norm.* (2 channels), attention.*, mlp_norm.*, mlp.*.
ParameterTable shared_parameters(const SharedConfig& config);

/// What each call has of its own: adapter.{up,q,k,v}.* and out.weight.
ParameterTable call_parameters(const SharedConfig& config);

/// One call of a transformer block whose weights other layers use, too.
///
///   a = attention(norm([x, x0]));  y = out mlp(mlp_norm(a))        x0: the embedding
///
/// Products into attention and MLP have low-rank additions of the call's own. There are no
/// residual sums inside: y is added to the input of a mixer.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Source     Glorioso et al. 2024, arXiv:2405.16712 (Zamba) and arXiv:2411.15242 (Zamba2).
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads with distinct states and workspaces.
class SharedTransformer {
 public:
  /// `shared` is seen from the block, `own` from the call.
  SharedTransformer(const SharedConfig& config, const Weights& shared, const Weights& own);

  int64_t state_size() const { return attention_->state_size(); }
  const mixers::Mixer& attention() const { return *attention_; }
  size_t workspace_bytes(int64_t batch, int64_t time) const;

  struct Run {
    View<const float, 3> x;           // (batch, time, channels) dense
    View<const float, 3> original;    // (batch, time, channels) dense: the embedding
    View<float, 2> state;             // (batch, state_size)
    View<const uint8_t, 2> starts{};  // (batch, time), or absent
    View<float, 3> journal{};         // of attention's tentative steps, or absent
    View<float, 2> y;                 // (batch time, channels) dense, out
  };
  void run(const Run& args, Workspace& workspace) const;

 private:
  int64_t channels_;
  nn::Norm norm_, mlp_norm_;
  std::unique_ptr<mixers::Mixer> attention_;
  nn::Mlp mlp_;
  nn::Linear out_;
};

}  // namespace longwave::models
