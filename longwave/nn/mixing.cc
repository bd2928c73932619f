// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mixing.h"

#include <span>

namespace longwave::nn {
namespace {

int64_t outputs_of(MixingKind kind, int64_t channels) {
  return kind == MixingKind::kGlu ? 2 * channels : channels;
}

}  // namespace

MixingKind mixing_kind(std::string_view text) {
  if (text == "none") return MixingKind::kNone;
  if (text == "linear") return MixingKind::kLinear;
  if (text == "half_glu1") return MixingKind::kHalfGlu1;
  if (text == "half_glu2") return MixingKind::kHalfGlu2;
  LONGWAVE_ASSERT(text == "glu", "unknown mixing");
  return MixingKind::kGlu;
}

ops::Activation activation_of(std::string_view text) {
  if (text == "none") return ops::Activation::kIdentity;
  if (text == "silu") return ops::Activation::kSilu;
  LONGWAVE_ASSERT(text == "gelu", "unknown activation");
  return ops::Activation::kGelu;
}

ParameterTable mixing_parameters(MixingKind kind, int64_t channels) {
  if (kind == MixingKind::kNone) return {};
  return linear_parameters(channels, outputs_of(kind, channels));
}

Mixing::Mixing(const Weights& weights, MixingKind kind, ops::Activation activation,
               int64_t channels)
    : kind_(kind), activation_(activation), channels_(channels) {
  if (kind != MixingKind::kNone) linear_.emplace(weights, channels, outputs_of(kind, channels));
}

size_t Mixing::workspace_bytes(int64_t rows) const {
  const size_t projected = kind_ == MixingKind::kNone || kind_ == MixingKind::kLinear
                               ? 0
                               : Workspace::bytes_for<float>(rows * outputs_of(kind_, channels_));
  return Workspace::bytes_for<float>(rows * channels_) + projected;
}

void Mixing::apply(View<float, 2> x, View<const float, 2> v, Workspace& workspace) const {
  LONGWAVE_ASSERT(v.contiguous(), "mixing takes dense rows");
  const Workspace::Scope scope(workspace);
  const int64_t rows = x.extent(0), count = rows * channels_;
  const std::span<float> scratch = workspace.take<float>(count);
  const View<float, 2> active(scratch.data(), {rows, channels_});
  ops::activate<float>(activation_, {v.data(), static_cast<size_t>(count)}, scratch);
  if (kind_ == MixingKind::kNone) {
    ops::residual<float>({.x = x, .m = {}, .h = active, .y = x});
    return;
  }
  if (kind_ == MixingKind::kLinear) {
    linear_->add(active, x);
    return;
  }
  const int64_t outputs = linear_->outputs();
  const View<float, 2> projected(workspace.take<float>(rows * outputs).data(), {rows, outputs});
  linear_->apply(active, projected);
  View<const float, 2> value = v;
  if (kind_ == MixingKind::kGlu) value = projected.slice(1, 0, channels_);
  if (kind_ == MixingKind::kHalfGlu1) value = active;
  const View<float, 2> gate = projected.slice(1, outputs - channels_, channels_);
  ops::gate<float>({.value = value, .gate = gate, .y = gate});
  ops::residual<float>({.x = x, .m = {}, .h = gate, .y = x});
}

}  // namespace longwave::nn
