// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/shared_transformer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::models {
namespace {

nn::AdapterShape up_adapter(const SharedConfig& config) {
  return {.rank = config.adapter_rank,
          .inputs = config.channels,
          .outputs = nn::up_outputs(config.mlp.kind, config.mlp.hidden)};
}

std::vector<nn::Adapter> attention_adapters(const SharedConfig& config, const Weights& own) {
  std::vector<nn::Adapter> adapters;
  if (!config.adapts_attention) return adapters;
  for (const auto& [name, shape] : config.attention.adapters(config.adapter_rank)) {
    adapters.emplace_back(own.scope(std::string("adapter.") + name), shape);
  }
  return adapters;
}

}  // namespace

SharedConfig::SharedConfig(const Options& options)
    : blocks(options.integer("shared.blocks")),
      channels(options.integer("model.d_model")),
      norm(nn::norm_kind(options.text("model.norm"))),
      norm_epsilon(static_cast<float>(options.real("model.norm_epsilon"))),
      attention(options.section("attention"), 2 * channels),
      mlp({.kind = nn::mlp_kind(options.text("model.mlp_kind")),
           .channels = channels,
           .hidden = options.integer("model.hidden"),
           .bias = options.flag("model.mlp_bias") ? nn::LinearBias::kPresent
                                                  : nn::LinearBias::kAbsent}),
      adapter_rank(options.integer("shared.adapter_rank")),
      adapts_attention(options.flag("shared.adapt_attention") && adapter_rank > 0) {
  attention.outputs = channels;
  if (mlp.hidden > 0) return;
  throw ConfigError({.where = "model.pattern",
                     .what = "shared blocks need hidden channels",
                     .got = "\"" + options.text("model.pattern") + "\" without them",
                     .fix = "set model.hidden"});
}

Schema shared_schema() {
  return {
      {"blocks", int64_t{1}, "shared transformer blocks, called in turn", 1, 1024},
      {"adapter_rank", int64_t{0}, "rank of what each call adds to shared products; 0 = nothing", 0,
       65536},
      {"adapt_attention", false, "whether calls add to queries, keys and values, too"},
  };
}

ParameterTable shared_parameters(const SharedConfig& config) {
  ParameterTable table = with_prefix("norm", nn::norm_parameters(config.norm, 2 * config.channels));
  append(table, with_prefix("attention", mixers::attention::parameters(config.attention)));
  append(table, with_prefix("mlp_norm", nn::norm_parameters(config.norm, config.channels)));
  append(table, with_prefix("mlp", nn::mlp_parameters(config.mlp)));
  return table;
}

ParameterTable call_parameters(const SharedConfig& config) {
  ParameterTable table;
  if (config.adapts_attention) {
    for (const auto& [name, shape] : config.attention.adapters(config.adapter_rank)) {
      append(table, with_prefix(std::string("adapter.") + name, nn::adapter_parameters(shape)));
    }
  }
  if (config.adapter_rank > 0) {
    append(table, with_prefix("adapter.up", nn::adapter_parameters(up_adapter(config))));
  }
  append(table, with_prefix("out", nn::linear_parameters(config.channels, config.channels,
                                                         nn::LinearBias::kAbsent)));
  return table;
}

SharedTransformer::SharedTransformer(const SharedConfig& config, const Weights& shared,
                                     const Weights& own)
    : channels_(config.channels),
      norm_(shared.scope("norm"), config.norm, 2 * config.channels, config.norm_epsilon),
      mlp_norm_(shared.scope("mlp_norm"), config.norm, config.channels, config.norm_epsilon),
      attention_(mixers::attention::make(config.attention, shared.scope("attention"),
                                         attention_adapters(config, own))),
      mlp_(shared.scope("mlp"), config.mlp),
      out_(own.scope("out"), config.channels, config.channels, nn::LinearBias::kAbsent) {
  if (config.adapter_rank > 0) {
    mlp_.adapt(nn::Adapter(own.scope("adapter.up"), up_adapter(config)));
  }
}

size_t SharedTransformer::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t rows = batch * time;
  return 2 * Workspace::bytes_for<float>(rows * channels_) +
         Workspace::bytes_for<float>(rows * 2 * channels_) +
         std::max(attention_->workspace_bytes(batch, time), mlp_.workspace_bytes(rows));
}

void SharedTransformer::run(const Run& args, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.x.extent(0), time = args.x.extent(1), rows = batch * time;
  const auto take = [&](int64_t columns) {
    return View<float, 2>(workspace.take<float>(rows * columns).data(), {rows, columns});
  };
  const View<float, 2> both = take(2 * channels_), seen = take(channels_), sum = take(channels_);
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(args.x.data() + r * channels_, channels_, both[r].data());
    std::copy_n(args.original.data() + r * channels_, channels_, both[r].data() + channels_);
  }
  norm_.apply(both, both);
  const View<const float, 3> u(both.data(), {batch, time, 2 * channels_});
  const View<float, 3> y(seen.data(), {batch, time, channels_});
  if (args.journal.absent()) {
    attention_->prefill({.u = u, .state = args.state, .y = y, .starts = args.starts}, workspace);
  } else {
    attention_->tentative_steps({.u = u, .state = args.state, .y = y, .journal = args.journal},
                                workspace);
  }
  mlp_norm_.apply(seen, seen);
  std::fill_n(sum.data(), sum.size(), 0.0f);
  mlp_.apply(sum, seen, workspace);
  out_.apply(sum, args.y);
}

}  // namespace longwave::models
