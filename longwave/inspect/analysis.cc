// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "longwave/ops/quant/quant.h"

namespace longwave::inspect {
namespace {

const char* name_of(ParameterGroup group) {
  switch (group) {
    case ParameterGroup::kMain:
      return "main";
    case ParameterGroup::kSsm:
      return "ssm";
    case ParameterGroup::kNoDecay:
      return "no decay";
    case ParameterGroup::kBuffer:
      return "buffer";
  }
  return "";
}

ParameterFacts facts_of(const Parameter& parameter, const Weights& weights) {
  const Tensor numbers = ops::dequantize(weights.of(parameter));
  const std::span<const float> values = numbers.elements<float>();
  ParameterFacts facts{.name = parameter.name,
                       .shape = to_string(parameter.shape),
                       .group = name_of(parameter.group),
                       .count = static_cast<int64_t>(values.size())};
  double sum = 0, squares = 0;
  facts.least = std::numeric_limits<double>::infinity();
  facts.most = -facts.least;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++facts.not_finite;
      continue;
    }
    sum += value;
    squares += static_cast<double>(value) * value;
    facts.least = std::min<double>(facts.least, value);
    facts.most = std::max<double>(facts.most, value);
  }
  const auto finite = static_cast<double>(facts.count - facts.not_finite);
  facts.mean = sum / finite;
  facts.deviation = std::sqrt(std::max(squares / finite - facts.mean * facts.mean, 0.0));
  return facts;
}

/// The step sizes in the scope of a layer: its tensors called log_dt.
std::vector<double> step_sizes(const std::string& scope, const ParameterTable& table,
                               const Weights& weights, double rate) {
  std::vector<double> sizes;
  for (const Parameter& parameter : table) {
    if (!parameter.name.starts_with(scope) || !parameter.name.ends_with(".log_dt")) continue;
    for (const float value : weights.get(parameter.name, parameter.shape)) {
      sizes.push_back(rate * std::exp(static_cast<double>(value)));
    }
  }
  return sizes;
}

}  // namespace

ModelAnalysis analyse(const models::Config& config, const Weights& weights, double rate) {
  const models::SequenceModel model(config, weights, rate);
  ModelAnalysis analysis{.pattern = config.options.text("model.pattern"),
                         .interface = config.interface,
                         .rate = rate,
                         .causal = model.causal(),
                         .parameters = 0,
                         .state_size = model.state_size(),
                         .layers = {},
                         .table = {}};
  const ParameterTable table = models::parameters(config);
  for (int64_t i = 0; i < model.layer_count(); ++i) {
    const std::string scope = "layers." + std::to_string(i) + ".";
    LayerAnalysis layer = analyse_mixer(model.layer_mixer(i));
    layer.index = i;
    layer.family = model.layer_family(i);
    layer.step_sizes = step_sizes(scope, table, weights, rate);
    for (const Parameter& parameter : table) {
      const bool counts =
          parameter.name.starts_with(scope) && parameter.group != ParameterGroup::kBuffer;
      if (counts) layer.parameters += element_count(parameter.shape);
    }
    analysis.layers.push_back(std::move(layer));
  }
  for (const Parameter& parameter : table) {
    if (parameter.group != ParameterGroup::kBuffer) {
      analysis.parameters += element_count(parameter.shape);
    }
    analysis.table.push_back(facts_of(parameter, weights));
  }
  return analysis;
}

}  // namespace longwave::inspect
