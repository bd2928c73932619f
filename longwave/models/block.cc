// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/block.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/parallel.h"

namespace longwave::models {
namespace {

int64_t hidden_channels(const Options& options) {
  const int64_t hidden = options.integer("model.hidden");
  return hidden > 0 ? hidden : options.integer("model.mlp") * options.integer("model.d_model");
}

void scale_init(Parameter& parameter, double scale) {
  parameter.init = [init = parameter.init, scale](std::span<float> out, Random& random) {
    init(out, random);
    for (float& value : out) value = static_cast<float>(value * scale);
  };
}

/// Makes the branches of a deep model small at the start, so that their sum is not large.
void scale_branches(ParameterTable& table, double scale) {
  if (scale == 1) return;
  const auto has = [&](const char* name) {
    return std::ranges::find(table, name, &Parameter::name) != table.end();
  };
  // A mixer that is followed by a mixing of channels does not end its branch.
  const char* mixer = has("mixing.weight") ? "mixing.weight" : "mixer.out_proj.weight";
  for (Parameter& parameter : table) {
    if (parameter.name == mixer || parameter.name.ends_with(".down.weight")) {
      scale_init(parameter, scale);
    }
  }
}

/// What stands for the mixer of a block that has none.
class NoMixer : public mixers::Mixer {
 public:
  explicit NoMixer(int64_t channels) : channels_(channels) {}
  int64_t channels() const override { return channels_; }
  int64_t state_size() const override { return 0; }
  bool packs() const override { return true; }
  size_t workspace_bytes(int64_t, int64_t) const override { return 0; }
  void prefill(const Prefill& args, Workspace&) const override {
    mixers::check(*this, args, "block");
    for (int64_t b = 0; b < args.y.extent(0); ++b) {
      for (int64_t t = 0; t < args.y.extent(1); ++t) {
        for (int64_t i = 0; i < channels_; ++i) args.y(b, t, i) = 0;
      }
    }
  }
  void step(const Step& args, Workspace& workspace) const override {
    prefill(mixers::as_prefill(args), workspace);
  }

 private:
  int64_t channels_;
};

}  // namespace

std::vector<BlockConfig> BlockConfig::layers_of(const Options& options) {
  const Pattern pattern = parse_pattern(options.text("model.pattern"));
  BlockConfig common = {
      .family = {},
      .channels = options.integer("model.d_model"),
      .norm = nn::norm_kind(options.text("model.norm")),
      .norm_epsilon = static_cast<float>(options.real("model.norm_epsilon")),
      .place = options.flag("model.prenorm") ? NormPlace::kBefore : NormPlace::kAfter,
      .activation = nn::activation_of(options.text("model.activation")),
      .mixing = nn::mixing_kind(options.text("model.mixing")),
      .after = AfterMixer::kNone,
      .shared = {},
      .mlp = nn::mlp_kind(options.text("model.mlp_kind")),
      .hidden = hidden_channels(options),
      .mlp_bias =
          options.flag("model.mlp_bias") ? nn::LinearBias::kPresent : nn::LinearBias::kAbsent,
      .moe = {},
      .mlp_multipliers = {static_cast<float>(options.real("model.gate_multiplier")),
                          static_cast<float>(options.real("model.down_multiplier"))},
      .branch_scale = 1,
      .residual_multiplier = static_cast<float>(options.real("model.residual_multiplier"))};
  std::vector<BlockConfig> layers;
  int64_t branches = 0, calls = 0;
  for (const Pattern::Layer& layer : pattern.layers) {
    layers.push_back(common);
    layers.back().family = layer.family;
    layers.back().after = layer.after;
    if (layer.shared) layers.back().shared = calls++ % options.integer("shared.blocks");
    if (!pattern.says_after && common.hidden > 0) layers.back().after = AfterMixer::kMlp;
    if (layer.after == AfterMixer::kMoe) {
      layers.back().moe = nn::MoeConfig::from(options.section("moe"));
      layers.back().moe.kind = common.mlp;
      layers.back().moe.channels = common.channels;
      if (layers.back().moe.hidden == 0) layers.back().moe.hidden = common.hidden;
    }
    const bool second = layers.back().after != AfterMixer::kNone;
    branches += second && !layer.family.empty() ? 2 : 1;
    const bool experts = layers.back().after == AfterMixer::kMoe;
    if (!second || (experts ? layers.back().moe.hidden : common.hidden) > 0) continue;
    throw ConfigError({.where = "model.pattern",
                       .what = "an MLP or experts need hidden channels",
                       .got = "\"" + options.text("model.pattern") + "\" without them",
                       .fix = "set model.hidden, or model.mlp in multiples of d_model"});
  }
  if (calls > 0 && common.place == NormPlace::kAfter) {
    throw ConfigError({.where = "model.prenorm",
                       .what = "shared blocks need norms before the branches",
                       .got = "false",
                       .fix = "set model.prenorm = true"});
  }
  if (!options.flag("model.scale_branches")) return layers;
  for (BlockConfig& layer : layers)
    layer.branch_scale = 1 / std::sqrt(static_cast<double>(branches));
  return layers;
}

ParameterTable block_parameters(const BlockConfig& config, const Options& options) {
  ParameterTable table;
  if (!config.family.empty()) {
    append(table, with_prefix("norm", nn::norm_parameters(config.norm, config.channels)));
    append(table,
           with_prefix("mixer", mixers::layer_parameters(config.family, options, config.channels)));
    append(table, with_prefix("mixing", nn::mixing_parameters(config.mixing, config.channels)));
  }
  if (config.shared) append(table, with_prefix("shared", call_parameters(SharedConfig(options))));
  if (config.after != AfterMixer::kNone) {
    append(table, with_prefix("mlp_norm", nn::norm_parameters(config.norm, config.channels)));
  }
  if (config.after == AfterMixer::kMoe) {
    append(table, with_prefix("moe", nn::moe_parameters(config.moe)));
  }
  if (config.after == AfterMixer::kMlp) {
    append(table, with_prefix("mlp", nn::mlp_parameters(config.mlp_config())));
  }
  scale_branches(table, config.branch_scale);
  return table;
}

Block::Block(const BlockConfig& config, const Layer& layer) : config_(config) {
  if (config.family.empty()) {
    mixer_ = std::make_unique<NoMixer>(config.channels);
  } else {
    norm_.emplace(layer.weights.scope("norm"), config.norm, config.channels, config.norm_epsilon);
    mixer_ = mixers::make_layer(config.family, layer.options, config.channels,
                                layer.weights.scope("mixer"), layer.rate);
    mixing_.emplace(layer.weights.scope("mixing"), config.mixing, config.activation,
                    config.channels);
  }
  if (config.shared) {
    const Weights block = layer.model.scope("shared." + std::to_string(*config.shared));
    shared_.emplace(SharedConfig(layer.options), block, layer.weights.scope("shared"));
  }
  if (config.after == AfterMixer::kNone) return;
  mlp_norm_.emplace(layer.weights.scope("mlp_norm"), config.norm, config.channels,
                    config.norm_epsilon);
  if (config.after == AfterMixer::kMoe) {
    moe_.emplace(layer.weights.scope("moe"), config.moe);
    return;
  }
  mlp_.emplace(layer.weights.scope("mlp"), config.mlp_config());
}

std::vector<mixers::StateRun> Block::state_runs() const {
  std::vector<mixers::StateRun> runs = mixer_->state_runs();
  if (!shared_) return runs;
  const std::vector<mixers::StateRun> more = shared_->attention().state_runs();
  runs.insert(runs.end(), more.begin(), more.end());
  return runs;
}

int64_t Block::steps_left(View<const float, 1> state) const {
  const int64_t begin = mixer_->state_size();
  const int64_t left = mixer_->steps_left(state.slice(0, 0, begin));
  if (!shared_) return left;
  const View<const float, 1> rest = state.slice(0, begin, shared_->state_size());
  return std::min(left, shared_->attention().steps_left(rest));
}

void Block::take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const {
  const int64_t own = mixer_->state_size(), written = mixer_->journal_size();
  mixer_->take_back(state.slice(1, 0, own), journal.slice(2, 0, written), kept);
  if (!shared_) return;
  const mixers::Mixer& attention = shared_->attention();
  attention.take_back(state.slice(1, own, attention.state_size()),
                      journal.slice(2, written, attention.journal_size()), kept);
}

size_t Block::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t rows = batch * time;
  size_t inner = mixer_->workspace_bytes(batch, time);
  if (mixing_) inner = std::max(inner, mixing_->workspace_bytes(rows));
  if (mlp_) inner = std::max(inner, mlp_->workspace_bytes(rows));
  if (shared_) inner = std::max(inner, shared_->workspace_bytes(batch, time));
  if (moe_) inner = std::max(inner, moe_->workspace_bytes(rows));
  const int64_t buffers = config_.residual_multiplier == 1 ? 2 : 3;
  return buffers * Workspace::bytes_for<float>(rows * config_.channels) + inner;
}

template <typename Add>
void Block::add_branch(View<float, 2> x, Workspace& workspace, const Add& add) const {
  if (config_.residual_multiplier == 1) return add(x);
  const Workspace::Scope scope(workspace);
  const std::span<float> branch = workspace.take<float>(x.size());
  std::ranges::fill(branch, 0.0f);
  add(View<float, 2>(branch.data(), x.extents()));
  float* sum = x.data();
  for (size_t i = 0; i < branch.size(); ++i) sum[i] += config_.residual_multiplier * branch[i];
}

/// Numbers [begin, begin + size) of each step, where steps are tentative.
View<float, 3> part_of_journal(const Block::Run& args, int64_t begin, int64_t size) {
  if (args.mode != Block::Mode::kTentative) return {};
  return args.journal.slice(2, begin, size);
}

void Block::add_shared(const Run& args, View<float, 2> h, Workspace& workspace) const {
  const int64_t begin = mixer_->state_size();
  shared_->run({.x = args.x,
                .original = args.original,
                .state = args.state.slice(1, begin, shared_->state_size()),
                .starts = args.starts,
                .journal = part_of_journal(args, mixer_->journal_size(),
                                           shared_->attention().journal_size()),
                .y = h},
               workspace);
  for (int64_t i = 0; i < h.size(); ++i) h.data()[i] += args.x.data()[i];
  norm_->apply(h, h);
}

void Block::run_mixer(const Run& args, View<float, 2> h, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.x.extent(0), time = args.x.extent(1), channels = config_.channels;
  const int64_t rows = batch * time;
  const View<float, 2> stream(args.x.data(), {rows, channels});
  const View<float, 2> v(workspace.take<float>(rows * channels).data(), {rows, channels});
  const bool before = config_.place == BlockConfig::NormPlace::kBefore;
  if (shared_) {
    add_shared(args, h, workspace);
  } else if (before) {
    norm_->apply(stream, h);
  }
  const View<const float, 2> u = before ? h : stream;
  const View<float, 2> state = args.state.slice(1, 0, mixer_->state_size());
  const View<const float, 3> inputs(u.data(), {batch, time, channels});
  const View<float, 3> outputs(v.data(), {batch, time, channels});
  switch (args.mode) {
    case Mode::kStep:
      mixer_->step({.u = u, .state = state, .y = v}, workspace);
      break;
    case Mode::kPrefill:
      mixer_->prefill({.u = inputs, .state = state, .y = outputs, .starts = args.starts},
                      workspace);
      break;
    case Mode::kTentative:
      mixer_->tentative_steps({.u = inputs,
                               .state = state,
                               .y = outputs,
                               .journal = part_of_journal(args, 0, mixer_->journal_size())},
                              workspace);
  }
  add_branch(stream, workspace, [&](View<float, 2> sum) { mixing_->apply(sum, v, workspace); });
  if (!before) norm_->apply(stream, stream);
}

void Block::run(const Run& args, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t rows = args.x.extent(0) * args.x.extent(1), channels = config_.channels;
  const View<float, 2> stream(args.x.data(), {rows, channels});
  const View<float, 2> h(workspace.take<float>(rows * channels).data(), {rows, channels});
  const bool before = config_.place == BlockConfig::NormPlace::kBefore;
  if (norm_) run_mixer(args, h, workspace);
  if (!mlp_norm_) return;
  if (before) {
    mlp_norm_->apply(stream, h);
  } else {
    std::copy_n(stream.data(), rows * channels, h.data());
  }
  add_branch(stream, workspace, [&](View<float, 2> sum) {
    if (mlp_) mlp_->apply(sum, h, workspace);
    if (moe_) moe_->apply(sum, h, workspace);
  });
  if (!before) mlp_norm_->apply(stream, stream);
}

}  // namespace longwave::models
