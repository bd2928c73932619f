// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/moe.h"

#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/ops/elementwise/elementwise.h"
#include "longwave/ops/matmul/matmul.h"

namespace longwave::nn {
namespace {

Parameter product(const char* name, Shape shape) {
  const double bound = 1 / std::sqrt(static_cast<double>(shape.back()));
  return {.name = name,
          .shape = std::move(shape),
          .group = ParameterGroup::kMain,
          .init = uniform_init(-bound, bound),
          .storage = Storage::kMatrix};
}

MlpConfig shared_config(const MoeConfig& config) {
  return {.kind = config.kind,
          .channels = config.channels,
          .hidden = config.shared,
          .bias = LinearBias::kAbsent};
}

}  // namespace

MoeConfig MoeConfig::from(const Options& section) {
  MoeConfig config;
  config.experts = section.integer("experts");
  config.chosen = section.integer("chosen");
  config.renormalise = section.flag("renormalise");
  config.balance = section.real("balance");
  config.shared = section.integer("shared");
  config.hidden = section.integer("hidden");
  config.scale = static_cast<float>(section.real("scale"));
  config.router = section.text("router") == "sigmoid" ? Router::kSigmoid : Router::kSoftmax;
  if (config.chosen <= config.experts) return config;
  throw ConfigError({.where = "moe",
                     .what = "no more experts can be chosen than there are",
                     .got = std::to_string(config.chosen) + " of " + std::to_string(config.experts),
                     .fix = "lower moe.chosen"});
}

Schema moe_schema() {
  return {
      {"experts", int64_t{8}, "experts of a layer", 1, 65536},
      {"chosen", int64_t{2}, "experts that see a step", 1, 65536},
      {"hidden", int64_t{0}, "channels inside an expert; 0 = model.hidden", 0, 1 << 20},
      {.key = "router",
       .value = std::string("softmax"),
       .help =
           "shares of experts: softmax, or sigmoid with a bias for the choice (not for training)",
       .choices = {"softmax", "sigmoid"}},
      {"scale", 1.0, "multiplies the shares of the chosen experts", -1e6, 1e6},
      {"renormalise", true, "whether the shares of the chosen experts are made to sum to 1"},
      {"balance", 0.01, "weight in the training loss of how unevenly experts are chosen", 0, 1e3},
      {"shared", int64_t{0}, "hidden channels of one more expert that sees every step; 0 = none", 0,
       1 << 20},
  };
}

/// Which experts see a step hangs on the last bits of the router: it stays float32.
Parameter router(const MoeConfig& config) {
  Parameter parameter = product("router.weight", {config.experts, config.channels});
  parameter.storage = Storage::kFloat32;
  return parameter;
}

ParameterTable moe_parameters(const MoeConfig& config) {
  ParameterTable table = {
      router(config),
      product("up.weight",
              {config.experts, up_outputs(config.kind, config.hidden), config.channels}),
      product("down.weight", {config.experts, config.channels, config.hidden})};
  if (config.router == Router::kSigmoid) {
    table.push_back({.name = "router.bias",
                     .shape = {config.experts},
                     .group = ParameterGroup::kBuffer,
                     .init = constant_init(0)});
  }
  if (config.shared > 0) {
    append(table, with_prefix("shared", mlp_parameters(shared_config(config))));
  }
  return table;
}

Moe::Moe(const Weights& weights, const MoeConfig& config)
    : config_(config),
      up_outputs_(up_outputs(config.kind, config.hidden)),
      router_(weights.matrix("router.weight", {config.experts, config.channels})),
      up_(weights.matrix("up.weight", {config.experts, up_outputs_, config.channels})),
      down_(weights.matrix("down.weight", {config.experts, config.channels, config.hidden})) {
  if (config.router == Router::kSigmoid) {
    router_bias_ = weights.view<1>("router.bias", {config.experts});
  }
  if (config.shared > 0) shared_.emplace(weights.scope("shared"), shared_config(config));
}

size_t Moe::workspace_bytes(int64_t rows) const {
  const int64_t choices = rows * config_.chosen;
  return 2 * Workspace::bytes_for<float>(rows * config_.experts) +
         Workspace::bytes_for<float>(choices) + 3 * Workspace::bytes_for<int64_t>(choices) +
         Workspace::bytes_for<int64_t>(config_.experts) +
         Workspace::bytes_for<int64_t>(config_.experts + 1) +
         2 * Workspace::bytes_for<float>(choices * config_.channels) +
         Workspace::bytes_for<float>(choices * up_outputs_) +
         Workspace::bytes_for<float>(rows * config_.channels) +
         (shared_ ? shared_->workspace_bytes(rows) : 0);
}

void Moe::run_expert(int64_t e, View<const float, 2> rows, View<float, 2> inner,
                     View<float, 2> out) const {
  ops::matmul({.x = rows, .W = up_.slice(e * up_outputs_, up_outputs_), .b = {}, .y = inner});
  apply_inner(config_.kind, inner, config_.hidden);
  ops::matmul({.x = inner.slice(1, 0, config_.hidden),
               .W = down_.slice(e * config_.channels, config_.channels),
               .b = {},
               .y = out});
}

void Moe::choose(View<const float, 2> h, const Choice& choice, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t rows = h.extent(0), experts = config_.experts, k = config_.chosen;
  const View<float, 2> logits(workspace.take<float>(rows * experts).data(), {rows, experts});
  const View<float, 2> p(workspace.take<float>(rows * experts).data(), {rows, experts});
  ops::matmul({.x = h, .W = router_, .b = {}, .y = logits});
  const bool sigmoid = config_.router == Router::kSigmoid;
  for (int64_t i = 0; i < rows * experts && sigmoid; ++i) {
    p.data()[i] = 1 / (1 + std::exp(-logits.data()[i]));
    logits.data()[i] = p.data()[i] + router_bias_(i % experts);
  }
  ops::route<float>({.kind = config_.weights(),
                     .logits = logits,
                     .chosen = choice.chosen,
                     .weights = choice.shares,
                     .counts = choice.counts,
                     .p = {}});
  for (int64_t r = 0; r < rows && sigmoid; ++r) {
    float sum = config_.renormalise ? 0.0f : 1.0f;
    for (int64_t j = 0; j < k; ++j) {
      choice.shares(r, j) = p(r, choice.chosen(r, j));
      if (config_.renormalise) sum += choice.shares(r, j);
    }
    for (int64_t j = 0; j < k && sum > 0; ++j) choice.shares(r, j) /= sum;
  }
  if (config_.scale == 1) return;
  for (int64_t i = 0; i < rows * k; ++i) choice.shares.data()[i] *= config_.scale;
}

void Moe::apply(View<float, 2> x, View<const float, 2> h, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t rows = x.extent(0), k = config_.chosen;
  const auto take = [&](auto number, int64_t count, int64_t columns) {
    using T = decltype(number);
    return View<T, 2>(workspace.take<T>(count * columns).data(), {count, columns});
  };
  const View<float, 2> shares = take(0.0f, rows, k);
  const View<int64_t, 2> chosen = take(int64_t{0}, rows, k), place = take(int64_t{0}, rows, k);
  const View<int64_t, 1> order(workspace.take<int64_t>(rows * k).data(), {rows * k});
  const View<int64_t, 1> counts(workspace.take<int64_t>(config_.experts).data(), {config_.experts});
  const View<int64_t, 1> first(workspace.take<int64_t>(config_.experts + 1).data(),
                               {config_.experts + 1});
  const View<float, 2> gathered = take(0.0f, rows * k, config_.channels);
  const View<float, 2> out = take(0.0f, rows * k, config_.channels);
  const View<float, 2> inner = take(0.0f, rows * k, up_outputs_);
  const View<float, 2> sum = take(0.0f, rows, config_.channels);
  choose(h, {.chosen = chosen, .shares = shares, .counts = counts}, workspace);
  ops::dispatch(
      {.chosen = chosen, .counts = counts, .order = order, .place = place, .first = first});
  ops::gather<float>({.x = h, .order = order, .rows = gathered});
  for (int64_t e = 0; e < config_.experts; ++e) {
    const int64_t begin = first(e), count = counts(e);
    if (count == 0) continue;
    run_expert(e, gathered.slice(0, begin, count), inner.slice(0, begin, count),
               out.slice(0, begin, count));
  }
  ops::combine<float>({.rows = out, .weights = shares, .place = place, .y = sum});
  ops::residual<float>({.x = x, .m = {}, .h = sum, .y = x});
  if (shared_) shared_->apply(x, h, workspace);
}

}  // namespace longwave::nn
