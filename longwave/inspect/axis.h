// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace longwave::inspect {

enum class Scale : uint8_t { kLinear, kLog };

/// One direction of a plot: what it measures and from where to where.
struct Axis {
  std::string label = {};
  double low = 0;
  double high = 1;
  Scale scale = Scale::kLinear;
};

/// Where `value` lies between the ends of the axis, 0 to 1; NaN if it cannot be shown.
double fraction(const Axis& axis, double value);

/// The axis that holds all finite values, widened to whole steps; log axes ignore values <= 0.
Axis fit_axis(std::string label, std::span<const double> values, Scale scale = Scale::kLinear);

/// Round values to mark on an axis, at most about `count`: 1, 2 or 5 times a power of ten, or whole
/// powers on a log axis.
std::vector<double> ticks(const Axis& axis, int count);

/// "0.05", "1e-06": as short as a reader wants it.
std::string tick_text(double value);

}  // namespace longwave::inspect
