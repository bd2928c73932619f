// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/norm.h"

#include <cmath>

#include "longwave/ops/norm/norm.h"

namespace longwave::nn {

NormKind norm_kind(std::string_view text) {
  if (text == "rms") return NormKind::kRms;
  if (text == "batch") return NormKind::kBatch;
  LONGWAVE_ASSERT(text == "layer", "unknown norm");
  return NormKind::kLayer;
}

ParameterTable norm_parameters(NormKind kind, int64_t channels) {
  const auto parameter = [&](const char* name, ParameterGroup group, float value) {
    return Parameter{
        .name = name, .shape = {channels}, .group = group, .init = constant_init(value)};
  };
  ParameterTable table = {parameter("weight", ParameterGroup::kNoDecay, 1)};
  if (kind != NormKind::kRms) {
    table.push_back(parameter("bias", ParameterGroup::kNoDecay, 0));
  }
  if (kind == NormKind::kBatch) {
    table.push_back(parameter("running_mean", ParameterGroup::kBuffer, 0));
    table.push_back(parameter("running_var", ParameterGroup::kBuffer, 1));
  }
  return table;
}

Norm::Norm(const Weights& weights, NormKind kind, int64_t channels, float epsilon)
    : kind_(kind), epsilon_(epsilon), weight_(weights.view<1>("weight", {channels})) {
  if (kind != NormKind::kRms) bias_ = weights.view<1>("bias", {channels});
  if (kind != NormKind::kBatch) return;
  const View<const float, 1> mean = weights.view<1>("running_mean", {channels});
  const View<const float, 1> var = weights.view<1>("running_var", {channels});
  for (int64_t c = 0; c < channels; ++c) {
    scale_.push_back(weight_(c) / std::sqrt(var(c) + epsilon));
    shift_.push_back(bias_(c) - mean(c) * scale_.back());
  }
}

void Norm::apply(View<const float, 2> x, View<float, 2> y) const {
  if (kind_ == NormKind::kBatch) {
    const int64_t channels = weight_.extent(0);
    ops::channel_affine<float>({.x = x,
                                .scale = {scale_.data(), {channels}},
                                .shift = {shift_.data(), {channels}},
                                .y = y});
    return;
  }
  ops::row_norm<float>(
      {.kind = kind_ == NormKind::kLayer ? ops::RowNorm::kLayer : ops::RowNorm::kRms,
       .epsilon = epsilon_,
       .x = x,
       .w = weight_,
       .b = bias_,
       .y = y,
       .moments = {}});
}

}  // namespace longwave::nn
