// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/text_plot.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace longwave::inspect {
namespace {

/// The braille character with these dots, in UTF-8.
std::string braille(unsigned dots) {
  const unsigned code = 0x2800 + dots;
  return {static_cast<char>(0xE0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 0x3F)),
          static_cast<char>(0x80 | (code & 0x3F))};
}

}  // namespace

std::string sparkline(std::span<const double> values) {
  constexpr std::array<std::string_view, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  std::string text;
  for (const double value : values) {
    if (!std::isfinite(value)) {
      text += ' ';
      continue;
    }
    const double height = high > low ? (value - low) / (high - low) : 0.5;
    text += kBars[static_cast<size_t>(std::lround(height * 7))];
  }
  return text;
}

std::vector<double> thinned(std::span<const double> values, size_t count) {
  if (values.size() <= count) return {values.begin(), values.end()};
  std::vector<double> result(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values.size() / count, end = (i + 1) * values.size() / count;
    double sum = 0;
    for (size_t j = begin; j < end; ++j) sum += values[j];
    result[i] = sum / static_cast<double>(end - begin);
  }
  return result;
}

std::string dot_plot(std::span<const double> x, std::span<const double> y, const Axis& x_axis,
                     const Axis& y_axis, int columns, int rows) {
  // Bits of the dots in a character, by row and column, as Unicode numbers them.
  constexpr unsigned kDots[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  std::vector<unsigned> cells(static_cast<size_t>(columns) * rows, 0);
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const double across = fraction(x_axis, x[i]), up = fraction(y_axis, y[i]);
    if (!(across >= 0 && across <= 1 && up >= 0 && up <= 1)) continue;
    const auto column = static_cast<int>(std::lround(across * (2 * columns - 1)));
    const auto row = static_cast<int>(std::lround((1 - up) * (4 * rows - 1)));
    cells[static_cast<size_t>(row / 4) * columns + column / 2] |= kDots[row % 4][column % 2];
  }
  std::string text;
  for (int row = 0; row < rows; ++row) {
    const std::string label = row == 0          ? tick_text(y_axis.high)
                              : row == rows - 1 ? tick_text(y_axis.low)
                                                : std::string();
    text += fmt::format("{:>9} │", label);
    for (int column = 0; column < columns; ++column) {
      const unsigned dots = cells[static_cast<size_t>(row) * columns + column];
      text += dots == 0 ? " " : braille(dots);
    }
    text += '\n';
  }
  std::string rule;
  for (int column = 0; column < columns; ++column) rule += "─";
  const std::string low = tick_text(x_axis.low), high = tick_text(x_axis.high);
  const int gap = std::max(columns - static_cast<int>(low.size() + high.size()), 1);
  text += fmt::format("{:>9} └{}\n{:>9}  {}{:^{}}{}\n", "", rule, "", low, x_axis.label, gap, high);
  return text;
}

std::vector<double> histogram(std::span<const double> values, const Axis& axis, int bins) {
  std::vector<double> counts(static_cast<size_t>(bins), 0);
  for (const double value : values) {
    const double at = fraction(axis, value);
    if (std::isnan(at)) continue;
    const double bin = std::clamp(std::floor(at * bins), 0.0, static_cast<double>(bins - 1));
    ++counts[static_cast<size_t>(bin)];
  }
  return counts;
}

}  // namespace longwave::inspect
