// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/block.h"

#include <algorithm>

#include "longwave/mixers/registry.h"

namespace longwave::models {

BlockConfig BlockConfig::from(const Options& options) {
  const int64_t channels = options.integer("model.d_model");
  return {.channels = channels,
          .norm = nn::norm_kind(options.text("model.norm")),
          .place = options.flag("model.prenorm") ? NormPlace::kBefore : NormPlace::kAfter,
          .activation = nn::activation_of(options.text("model.activation")),
          .mixing = nn::mixing_kind(options.text("model.mixing")),
          .mlp = nn::mlp_kind(options.text("model.mlp_kind")),
          .hidden = options.integer("model.mlp") * channels};
}

ParameterTable block_parameters(const BlockConfig& config, const std::string& family,
                                const Options& options) {
  ParameterTable table = with_prefix("norm", nn::norm_parameters(config.norm, config.channels));
  append(table, with_prefix("mixer", mixers::family(family).parameters(options.section(family),
                                                                       config.channels)));
  append(table, with_prefix("mixing", nn::mixing_parameters(config.mixing, config.channels)));
  if (config.hidden > 0) {
    append(table, with_prefix("mlp_norm", nn::norm_parameters(config.norm, config.channels)));
    append(table,
           with_prefix("mlp", nn::mlp_parameters(config.mlp, config.channels, config.hidden)));
  }
  return table;
}

Block::Block(const BlockConfig& config, const Layer& layer)
    : config_(config),
      norm_(layer.weights.scope("norm"), config.norm, config.channels),
      mixer_(mixers::family(layer.family)
                 .make(layer.options.section(layer.family), config.channels,
                       layer.weights.scope("mixer"), layer.rate)),
      mixing_(layer.weights.scope("mixing"), config.mixing, config.activation, config.channels) {
  if (config.hidden == 0) return;
  mlp_norm_.emplace(layer.weights.scope("mlp_norm"), config.norm, config.channels);
  mlp_.emplace(layer.weights.scope("mlp"), config.mlp, config.channels, config.hidden);
}

size_t Block::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t rows = batch * time;
  size_t inner = std::max(mixer_->workspace_bytes(batch, time), mixing_.workspace_bytes(rows));
  if (mlp_) inner = std::max(inner, mlp_->workspace_bytes(rows));
  return 2 * Workspace::bytes_for<float>(rows * config_.channels) + inner;
}

void Block::run(Mode mode, View<float, 3> x, View<float, 2> state, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = x.extent(0), time = x.extent(1), channels = config_.channels;
  const int64_t rows = batch * time;
  const View<float, 2> stream(x.data(), {rows, channels});
  const View<float, 2> h(workspace.take<float>(rows * channels).data(), {rows, channels});
  const View<float, 2> v(workspace.take<float>(rows * channels).data(), {rows, channels});
  const bool before = config_.place == BlockConfig::NormPlace::kBefore;
  if (before) norm_.apply(stream, h);
  const View<const float, 2> u = before ? h : stream;
  if (mode == Mode::kStep) {
    mixer_->step({.u = u, .state = state, .y = v}, workspace);
  } else {
    mixer_->prefill({.u = {u.data(), {batch, time, channels}},
                     .state = state,
                     .y = {v.data(), {batch, time, channels}}},
                    workspace);
  }
  mixing_.apply(stream, v, workspace);
  if (!before) norm_.apply(stream, stream);
  if (!mlp_) return;
  if (before) {
    mlp_norm_->apply(stream, h);
  } else {
    std::copy_n(stream.data(), rows * channels, h.data());
  }
  mlp_->apply(stream, h, workspace);
  if (!before) mlp_norm_->apply(stream, stream);
}

}  // namespace longwave::models
