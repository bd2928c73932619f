// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/multipliers.h"

#include <algorithm>

#include "longwave/ops/norm/norm.h"

namespace longwave::mixers {

Multipliers::Multipliers(std::initializer_list<Part> parts, View<const float, 1> bias)
    : bias_(bias) {
  const bool all_one = std::ranges::all_of(
      parts, [](const Part& part) { return part.before == 1 && part.after == 1; });
  if (all_one) return;
  for (const Part& part : parts) {
    for (int64_t i = 0; i < part.size; ++i) {
      const double b = bias.absent() ? 0 : bias(static_cast<int64_t>(shift_.size()));
      scale_.push_back(static_cast<float>(part.before * part.after));
      shift_.push_back(static_cast<float>(b * part.after));
    }
  }
}

void Multipliers::apply(View<float, 3> y) const {
  if (none()) return;
  const auto size = static_cast<int64_t>(scale_.size());
  for (int64_t b = 0; b < y.extent(0); ++b) {
    ops::channel_affine<float>(
        {.x = y[b], .scale = {scale_.data(), {size}}, .shift = {shift_.data(), {size}}, .y = y[b]});
  }
}

}  // namespace longwave::mixers
