// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/axis.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace longwave::inspect {
namespace {

/// 1, 2 or 5 times a power of ten, so that `span` holds at most about `count` steps.
double round_step(double span, int count) {
  const double raw = span / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

double fraction(const Axis& axis, double value) {
  if (axis.scale == Scale::kLinear) return (value - axis.low) / (axis.high - axis.low);
  if (!(value > 0)) return std::numeric_limits<double>::quiet_NaN();
  return std::log(value / axis.low) / std::log(axis.high / axis.low);
}

Axis fit_axis(std::string label, std::span<const double> values, Scale scale) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values) {
    if (!std::isfinite(value) || (scale == Scale::kLog && value <= 0)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = scale == Scale::kLog ? 1 : 0;
  if (scale == Scale::kLog) {
    low = std::pow(10.0, std::floor(std::log10(low)));
    high = std::pow(10.0, std::ceil(std::log10(high)));
    if (low == high) high *= 10;
  } else {
    if (low == high) high = low + std::max(1.0, std::abs(low));
    const double step = round_step(high - low, 6);
    low = std::floor(low / step) * step;
    high = std::ceil(high / step) * step;
  }
  return {.label = std::move(label), .low = low, .high = high, .scale = scale};
}

std::vector<double> ticks(const Axis& axis, int count) {
  std::vector<double> marks;
  if (axis.scale == Scale::kLog) {
    const double first = std::ceil(std::log10(axis.low) - 1e-9);
    const double last = std::floor(std::log10(axis.high) + 1e-9);
    const double stride = std::max(1.0, std::ceil((last - first) / std::max(count, 1)));
    for (double power = first; power <= last; power += stride) {
      marks.push_back(std::pow(10.0, power));
    }
    return marks;
  }
  const double step = round_step(axis.high - axis.low, count);
  const double first = std::ceil(axis.low / step - 1e-9);
  const double last = std::floor(axis.high / step + 1e-9);
  for (double mark = first; mark <= last; ++mark) marks.push_back(mark * step);
  return marks;
}

std::string tick_text(double value) {
  const double magnitude = std::abs(value);
  if (magnitude < 1e-300) return "0";
  if (magnitude >= 1e5 || magnitude < 1e-3) return fmt::format("{:.3g}", value);
  return fmt::format("{:.5g}", value);
}

}  // namespace longwave::inspect
