// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mlp.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "longwave/ops/elementwise/elementwise.h"

namespace longwave::nn {
namespace {

float exact_gelu(float x) { return 0.5F * x * std::erfc(x * -std::numbers::sqrt2_v<float> / 2); }

}  // namespace

MlpKind mlp_kind(std::string_view text) {
  if (text == "swiglu") return MlpKind::kSwiglu;
  if (text == "geglu") return MlpKind::kGeglu;
  if (text == "relu2") return MlpKind::kRelu2;
  LONGWAVE_ASSERT(text == "gelu", "unknown mlp");
  return MlpKind::kGelu;
}

int64_t up_outputs(MlpKind kind, int64_t hidden) {
  return kind == MlpKind::kSwiglu || kind == MlpKind::kGeglu ? 2 * hidden : hidden;
}

void apply_inner(MlpKind kind, View<float, 2> rows, int64_t hidden) {
  const View<float, 2> value = rows.slice(1, 0, hidden);
  if (kind == MlpKind::kSwiglu) {
    ops::gate<float>({.f = ops::Activation::kSilu,
                      .value = value,
                      .gate = rows.slice(1, hidden, hidden),
                      .y = value});
    return;
  }
  if (kind == MlpKind::kGeglu) {
    const View<float, 2> gate = rows.slice(1, hidden, hidden);
    for (int64_t r = 0; r < rows.extent(0); ++r) {
      for (int64_t i = 0; i < hidden; ++i) value(r, i) *= exact_gelu(gate(r, i));
    }
    return;
  }
  LONGWAVE_ASSERT(rows.contiguous(), "an MLP works on dense rows");
  const std::span<float> all(rows.data(), static_cast<size_t>(rows.size()));
  if (kind == MlpKind::kGelu) return ops::activate<float>(ops::Activation::kGelu, all, all);
  for (float& x : all) x = std::max(x, 0.0f) * std::max(x, 0.0f);
}

ParameterTable mlp_parameters(const MlpConfig& config) {
  const int64_t outputs = up_outputs(config.kind, config.hidden);
  ParameterTable table =
      with_prefix("up", linear_parameters(config.channels, outputs, config.bias));
  append(table,
         with_prefix("down", linear_parameters(config.hidden, config.channels, config.bias)));
  return table;
}

Mlp::Mlp(const Weights& weights, const MlpConfig& config)
    : config_(config),
      up_(weights.scope("up"), config.channels, up_outputs(config.kind, config.hidden),
          config.bias),
      down_(weights.scope("down"), config.hidden, config.channels, config.bias) {}

size_t Mlp::workspace_bytes(int64_t rows) const {
  const size_t answer =
      config_.multipliers.down == 1 ? 0 : Workspace::bytes_for<float>(rows * config_.channels);
  const size_t adapting = adapter_ ? adapter_->workspace_bytes(rows) : 0;
  return Workspace::bytes_for<float>(rows * up_.outputs()) + answer + adapting;
}

void Mlp::apply(View<float, 2> x, View<const float, 2> h, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t rows = x.extent(0), outputs = up_.outputs(), hidden = config_.hidden;
  const View<float, 2> inner(workspace.take<float>(rows * outputs).data(), {rows, outputs});
  up_.apply(h, inner);
  if (adapter_) adapter_->add(h, inner, workspace);
  if (config_.multipliers.gate != 1 && outputs == 2 * hidden) {
    const View<float, 2> gate = inner.slice(1, hidden, hidden);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < hidden; ++i) gate(r, i) *= config_.multipliers.gate;
    }
  }
  apply_inner(config_.kind, inner, hidden);
  const View<float, 2> active = inner.slice(1, 0, hidden);
  if (config_.multipliers.down == 1) return down_.add(active, x);
  const View<float, 2> answer(workspace.take<float>(rows * config_.channels).data(), x.extents());
  down_.apply(active, answer);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < config_.channels; ++i) {
      x(r, i) += config_.multipliers.down * answer(r, i);
    }
  }
}

}  // namespace longwave::nn
