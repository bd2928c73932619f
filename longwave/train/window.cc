// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/window.h"

#include <cmath>

namespace longwave::train {

std::optional<double> Window::add(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (values_.size() >= kSize) values_.erase(values_.begin());
  values_.push_back(value);
  if (values_.size() < kSize) return std::nullopt;
  double mean = 0;
  for (const double each : values_) mean += each / kSize;
  double variance = 0;
  for (const double each : values_) variance += (each - mean) * (each - mean) / kSize;
  return variance > 0 ? (value - mean) / std::sqrt(variance) : 0.0;
}

}  // namespace longwave::train
