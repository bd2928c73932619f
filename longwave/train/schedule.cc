// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longwave::train {

double Schedule::factor(int64_t step) const {
  const auto warm = static_cast<int64_t>(std::llround(warmup * static_cast<double>(steps)));
  if (step < warm) return static_cast<double>(step + 1) / static_cast<double>(warm);
  if (shape == Shape::kConstant) return 1.0;
  const auto rest = static_cast<double>(std::max<int64_t>(steps - warm, 1));
  const double progress = std::min(static_cast<double>(step - warm) / rest, 1.0);
  return end + (1.0 - end) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

Schedule schedule_of(const Options& train, int64_t steps) {
  return {.shape = train.text("schedule") == "cosine" ? Schedule::Shape::kCosine
                                                      : Schedule::Shape::kConstant,
          .steps = steps,
          .warmup = train.real("warmup"),
          .end = train.real("lr_end")};
}

}  // namespace longwave::train
