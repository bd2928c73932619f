// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/number_text.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <string_view>

namespace longwave::inspect {

std::string thousands(int64_t number) {
  std::string text = std::to_string(number);
  const int64_t first = number < 0 ? 1 : 0;
  for (int64_t at = static_cast<int64_t>(text.size()) - 3; at > first; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

std::string byte_text(int64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string short_number(double value) {
  if (std::isnan(value)) return "none";
  if (std::isinf(value)) return value > 0 ? "infinite" : "-infinite";
  const double size = std::abs(value);
  if (size < 1000 || size >= 1e9) return fmt::format("{:.3g}", value);
  const double unit = std::pow(10.0, std::floor(std::log10(size)) - 2);
  return thousands(static_cast<int64_t>(std::llround(value / unit) * std::llround(unit)));
}

}  // namespace longwave::inspect
