// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mlp.h"

#include "longwave/ops/elementwise/elementwise.h"

namespace longwave::nn {
namespace {

int64_t up_outputs(MlpKind kind, int64_t hidden) {
  return kind == MlpKind::kSwiglu ? 2 * hidden : hidden;
}

}  // namespace

MlpKind mlp_kind(std::string_view text) {
  if (text == "swiglu") return MlpKind::kSwiglu;
  LONGWAVE_ASSERT(text == "gelu", "unknown mlp");
  return MlpKind::kGelu;
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
    : kind_(config.kind),
      hidden_(config.hidden),
      up_(weights.scope("up"), config.channels, up_outputs(config.kind, config.hidden),
          config.bias),
      down_(weights.scope("down"), config.hidden, config.channels, config.bias) {}

size_t Mlp::workspace_bytes(int64_t rows) const {
  return Workspace::bytes_for<float>(rows * up_.outputs());
}

void Mlp::apply(View<float, 2> x, View<const float, 2> h, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t rows = x.extent(0), outputs = up_.outputs();
  const std::span<float> scratch = workspace.take<float>(rows * outputs);
  const View<float, 2> inner(scratch.data(), {rows, outputs});
  up_.apply(h, inner);
  if (kind_ == MlpKind::kSwiglu) {
    const View<float, 2> value = inner.slice(1, 0, hidden_);
    ops::gate<float>({.f = ops::Activation::kSilu,
                      .value = value,
                      .gate = inner.slice(1, hidden_, hidden_),
                      .y = value});
  } else {
    ops::activate<float>(ops::Activation::kGelu, scratch, scratch);
  }
  down_.add(inner.slice(1, 0, hidden_), x);
}

}  // namespace longwave::nn
