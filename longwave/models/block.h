// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/mixers/mixer.h"
#include "longwave/models/pattern.h"
#include "longwave/models/shared_transformer.h"
#include "longwave/nn/mixing.h"
#include "longwave/nn/mlp.h"
#include "longwave/nn/moe.h"
#include "longwave/nn/norm.h"

namespace longwave::models {

/// What a model's options say about one block, read once.
struct BlockConfig {
  enum class NormPlace : uint8_t { kBefore, kAfter };

  std::string family;  ///< empty: there is no first branch
  int64_t channels;
  nn::NormKind norm;
  float norm_epsilon;
  NormPlace place;
  ops::Activation activation;
  nn::MixingKind mixing;
  AfterMixer after;
  std::optional<int64_t> shared;  ///< the shared block that adds to the mixer's input
  nn::MlpKind mlp;
  int64_t hidden;  ///< channels inside the MLP or an expert
  nn::LinearBias mlp_bias;
  nn::MoeConfig moe;  ///< of its experts, if it has any
  nn::MlpConfig::Multipliers mlp_multipliers;
  double branch_scale;        ///< multiplies the start of the last product of each residual branch
  float residual_multiplier;  ///< multiplies what each residual branch adds

  /// Of the MLP, where there is one.
  nn::MlpConfig mlp_config() const {
    return {.kind = mlp,
            .channels = channels,
            .hidden = hidden,
            .bias = mlp_bias,
            .multipliers = mlp_multipliers};
  }

  /// One for each layer of "model.pattern".
  ///
  /// Errors     ConfigError if the pattern cannot be read or asks for an MLP without channels.
  static std::vector<BlockConfig> layers_of(const Options& options);
};

/// With a shared block also shared.*, what the call has of its own.
/// norm.*, mixer.*, mixing.*, and with an MLP or experts mlp_norm.* and mlp.* or moe.*; `options`
/// hold the family's section.
ParameterTable block_parameters(const BlockConfig& config, const Options& options);

/// One layer of a model: a mixer along time and a mixing of channels, each in a residual branch.
///
///   before   x += mixing(mixer(norm(x)));    x += mlp(mlp_norm(x))     mlp: or experts
///   after    x = norm(x + mixing(mixer(x))); x = mlp_norm(x + mlp(x))
///
/// With a shared block the mixer sees norm(x + block(x, embedding)); x itself stays as it is. A
/// block without a mixer has the second branch only. What a branch adds is multiplied by the
/// residual multiplier.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads with distinct states and workspaces.
class Block {
 public:
  struct Layer {
    const Options& options;  ///< the whole model's
    const Weights& weights;  ///< seen from the layer
    double rate;             ///< multiplies every step size
    const Weights& model;    ///< seen from the top: shared blocks lie there
  };
  Block(const BlockConfig& config, const Layer& layer);

  const mixers::Mixer& mixer() const { return *mixer_; }

  /// Floats of a state row: the mixer's, then those of a call of a shared block.
  int64_t state_size() const {
    return mixer_->state_size() + (shared_ ? shared_->state_size() : 0);
  }

  /// What a state row consists of, see Mixer.
  std::vector<mixers::StateRun> state_runs() const;

  /// Floats that a tentative step is written down in: the mixer's, then the shared block's.
  int64_t journal_size() const {
    return mixer_->journal_size() + (shared_ ? shared_->attention().journal_size() : 0);
  }

  /// Takes back tentative steps, see Mixer.
  void take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const;

  /// Steps that can follow a state row, see Mixer.
  int64_t steps_left(View<const float, 1> state) const;

  size_t workspace_bytes(int64_t batch, int64_t time) const;

  /// One sample (time must be 1) or any number of them through the mixer; kTentative needs a
  /// journal and gives the bits of as many steps.
  enum class Mode : uint8_t { kStep, kPrefill, kTentative };

  struct Run {
    Mode mode;
    View<float, 3> x;                 // (batch, time, channels) dense, in and out
    View<float, 2> state;             // (batch, state_size())
    View<const uint8_t, 2> starts{};  // (batch, time) as the mixer takes them, or absent
    View<const float, 3> original{};  // as x: the embedding, where a shared block is called
    View<float, 3> journal{};         // (batch, time, journal_size()) out, of tentative steps
  };
  void run(const Run& args, Workspace& workspace) const;

 private:
  /// x += m branch(x), with m the residual multiplier: `add` adds a branch to the rows it is given.
  template <typename Add>
  void add_branch(View<float, 2> x, Workspace& workspace, const Add& add) const;

  /// h = norm(x + what the shared block makes of it).
  void add_shared(const Run& args, View<float, 2> h, Workspace& workspace) const;

  BlockConfig config_;
  void run_mixer(const Run& args, View<float, 2> h, Workspace& workspace) const;

  std::optional<nn::Norm> norm_;
  std::unique_ptr<mixers::Mixer> mixer_;  // where there is none, one without state that gives 0
  std::optional<nn::Mixing> mixing_;
  std::optional<SharedTransformer> shared_;
  std::optional<nn::Norm> mlp_norm_;
  std::optional<nn::Mlp> mlp_;
  std::optional<nn::Moe> moe_;
};

}  // namespace longwave::models
