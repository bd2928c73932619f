// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace longwave::train {

/// The last numbers of a series, and how unusual the newest is among them.
///
/// Threads    one owner at a time.
class Window {
 public:
  static constexpr size_t kSize = 128;

  /// Adds a number and lets the oldest go; says how many deviations the new one lies from the mean.
  ///
  ///   z = (newest - mean) / sqrt(mean of (value - mean)^2)      over the last kSize numbers
  ///
  /// 0 where all are equal. Nothing until the window is full, and nothing for a number that is not
  /// finite, which does not enter it.
  /// Numerics   two passes in double.
  std::optional<double> add(double value);

  /// What it holds, oldest first.
  const std::vector<double>& values() const { return values_; }
  void set_values(std::vector<double> values) { values_ = std::move(values); }

 private:
  std::vector<double> values_;
};

}  // namespace longwave::train
